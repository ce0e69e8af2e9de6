"""The processes of a run: what a launcher must say, and gloo without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from mmengine.config import Config
from torch.distributed import HashStore, TCPStore

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime import processes
from mmseg_ccdistill.runtime.ranks import RANK_VARIABLES


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch) -> None:
    for variables in RANK_VARIABLES.values():
        for name in variables:
            monkeypatch.setenv(name, '0')  # restored afterwards, whatever the code sets
            monkeypatch.delenv(name)


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_launcher_without_its_variables_says_how_to_start(launcher) -> None:
    with pytest.raises(UserInputError, match=f'--launcher {launcher} needs .* in the environment'):
        processes.set_up_processes(Config(dict()), launcher)


def test_single_process_needs_nothing() -> None:
    config = Config(dict())
    processes.set_up_processes(config, 'none', local_rank=0)
    assert config.launcher == 'none' and 'model_wrapper_cfg' not in config
    assert os.environ['LOCAL_RANK'] == '0'


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_gloo_is_started_without_a_gpu(launcher, monkeypatch) -> None:
    started, together = [], []

    def start(*args, **kwargs) -> None:
        started.append((args, kwargs))

    monkeypatch.setattr(processes, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(processes.torch_dist, 'init_process_group', start)
    monkeypatch.setattr(processes, 'start_together', together.append)
    values = dict(zip(RANK_VARIABLES[launcher], ('3', '8', '1'), strict=True))
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    config = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60))))

    monkeypatch.delenv('MASTER_ADDR', raising=False)
    with pytest.raises(UserInputError, match='MASTER_ADDR'):
        processes.set_up_processes(config, launcher)
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    monkeypatch.setenv('MASTER_PORT', '1')
    processes.set_up_processes(config, launcher)

    assert [process[:3] for process in together] == [(3, 8, 1)] * 2
    ((arguments, options),) = started
    assert arguments == ('gloo',) and options['timeout'].total_seconds() == 60
    assert [os.environ[name] for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')] == ['3', '8', '1']
    assert config.env_cfg.dist_cfg.backend == 'gloo'
    # torch's DDP refuses device ids for a module on the CPU.
    assert config.model_wrapper_cfg.device_ids is None
    assert config.model_wrapper_cfg.type == 'MMDistributedDataParallel'


MEET = """
import sys
import torch
from mmengine.config import Config
from mmseg_ccdistill.runtime.processes import set_up_processes

set_up_processes(Config(dict(env_cfg=dict(dist_cfg=dict(timeout=60)))), 'pytorch')
total = torch.tensor([float(sys.argv[1])])
torch.distributed.all_reduce(total)
print(total.item(), flush=True)
"""


def test_processes_that_are_started_again_do_not_look_for_those_before() -> None:
    """torchrun with a fixed address keeps the store, with the addresses of processes that are gone."""
    store = TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False)
    for attempt in range(2):
        meeting = dict(WORLD_SIZE='2', MASTER_ADDR='127.0.0.1', MASTER_PORT=str(store.port))
        meeting |= dict(TORCHELASTIC_USE_AGENT_STORE='True', CUDA_VISIBLE_DEVICES='')
        meeting |= dict(TORCHELASTIC_RESTART_COUNT=str(attempt), OMP_NUM_THREADS='1')
        running = [
            subprocess.Popen(
                [sys.executable, '-c', MEET, str(rank + 1)],
                env={**os.environ, **meeting, 'RANK': str(rank), 'LOCAL_RANK': str(rank)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]
        try:
            assert [process.communicate(timeout=120)[0] for process in running] == ['3.0\n'] * 2
        finally:
            for process in running:
                process.kill()


def test_a_group_on_gpus_that_is_started_again_has_keys_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[tuple[Any, Any]] = []
    devices: list[int] = []
    monkeypatch.setattr(processes, 'get_device', lambda: 'cuda')
    monkeypatch.setattr(processes.torch.cuda, 'set_device', devices.append)
    monkeypatch.setattr(processes, 'start_together', lambda process: None)
    monkeypatch.setattr(
        processes.torch_dist, 'init_process_group', lambda *a, **k: started.append((a, k))
    )
    monkeypatch.setattr(
        processes.torch_dist, 'rendezvous', lambda *a, **k: iter([(HashStore(), 3, 8)])
    )
    for name, value in zip(RANK_VARIABLES['pytorch'], ('3', '8', '1'), strict=True):
        monkeypatch.setenv(name, value)
    for attempt, calls in (('0', 0), ('2', 1)):
        monkeypatch.setenv('TORCHELASTIC_RESTART_COUNT', attempt)
        processes.set_up_processes(Config(dict(env_cfg=dict(dist_cfg=dict(timeout=9)))), 'pytorch')
        assert len(started) == len(devices) == calls  # the runner starts the first one
    ((arguments, options),) = started
    assert devices == [1] and arguments == ('nccl',) and options['timeout'].total_seconds() == 9
    assert (options['rank'], options['world_size']) == (3, 8)
    options['store'].set('address', 'x')
    assert options['store'].underlying_store.get('attempt_2/address') == b'x'
