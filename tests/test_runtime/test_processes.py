"""The processes of a run: what a launcher must say, and gloo without a GPU."""

from __future__ import annotations

import os

import pytest
from mmengine.config import Config

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
