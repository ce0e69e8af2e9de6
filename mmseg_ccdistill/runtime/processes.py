"""The processes of a run: its launcher, and a process group where there is no GPU.

mmengine's launchers select a CUDA device before they start the process group, so they cannot run on
a machine without one; here the group is started before the runner is built.
"""

import datetime
import os
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch import distributed as torch_dist

from ..errors import UserInputError
from .ranks import RANK_VARIABLES, process_of
from .start_together import DEFAULT_PORT, start_together

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')

_LAUNCH_ADVICE = {
    'pytorch': 'start it with torchrun, for example `bash tools/dist_train.sh CONFIG GPUS`',
    'slurm': 'start it with srun, for example `bash tools/slurm_train.sh PARTITION JOB CONFIG`',
    'mpi': 'start it with mpirun',
}


def set_up_processes(config: Config, launcher: str, local_rank: int = 0) -> None:
    """Record the launcher, start with the other processes and, without an accelerator, on gloo.

    To be called after the checks of the input: the processes start if those of all have passed.

    The runner starts the group itself only if none exists (``Runner.setup_env``), so on the CPU it
    is started here. The model is then wrapped without device ids, as torch's DDP demands of CPU
    modules.

    Args:
        config: Config; ``launcher`` and, on the CPU, ``model_wrapper_cfg`` are set in place.
        launcher: One of ``LAUNCHERS``.
        local_rank: Rank within the node, for launchers that pass it as an argument.

    Raises:
        UserInputError: If the launcher's variables are missing from the environment.
        OtherRankError: If the checks of another process have failed.
    """
    config.launcher = launcher
    if launcher in ('none', 'pytorch'):  # torch.distributed.launch may pass it as an argument only
        os.environ.setdefault('LOCAL_RANK', str(local_rank))
    if launcher == 'none':
        return
    variables = RANK_VARIABLES[launcher]
    missing = [name for name in variables if name not in os.environ]
    if missing:
        raise UserInputError(
            f'--launcher {launcher} needs {" and ".join(missing)} in the environment; '
            f'{_LAUNCH_ADVICE[launcher]}, or leave --launcher out for a single process'
        )
    # The runner reads LOCAL_RANK when it wraps the model, whatever the launcher.
    for name, variable in zip(RANK_VARIABLES['pytorch'], variables, strict=True):
        os.environ[name] = os.environ[variable]
    start_together(process_of(launcher))
    device = get_device()
    if device == 'cpu':
        _start_gloo(config, launcher)
    elif device == 'cuda' and _attempt() > 0:
        # Else the runner starts the group itself, in the same way.
        torch.cuda.set_device(int(os.environ['LOCAL_RANK']))
        distribution = config.get('env_cfg', {}).get('dist_cfg', {})
        _start_group(distribution.get('backend', 'nccl'), distribution)


def _attempt() -> int:
    """How often torchrun has started these processes again."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', '0'))


def _start_group(backend: str, distribution: Mapping[str, Any]) -> None:
    """Start the process group, unless there is one.

    torchrun with a fixed address keeps one store for all its attempts, and torch 2.13 does not part them in it: the
    processes of a new attempt would wait for the addresses of those that are gone.
    """
    if torch_dist.is_initialized():
        return
    options: dict[str, Any] = {}
    timeout = distribution.get('timeout')  # seconds, as mmengine reads it
    if timeout is not None:
        options['timeout'] = datetime.timedelta(seconds=timeout)
    if _attempt() > 0:
        store, rank, world_size = next(torch_dist.rendezvous('env://', **options))
        own = torch_dist.PrefixStore(f'attempt_{_attempt()}', store)
        options |= dict(store=own, rank=rank, world_size=world_size)
    torch_dist.init_process_group(backend, **options)


def _start_gloo(config: Config, launcher: str) -> None:
    """Start a gloo process group and wrap the model for the CPU."""
    if 'MASTER_ADDR' not in os.environ:
        raise UserInputError(
            f'--launcher {launcher} without a GPU needs MASTER_ADDR, the address of the first '
            'node, in the environment; for one node: MASTER_ADDR=127.0.0.1'
        )
    os.environ.setdefault('MASTER_PORT', DEFAULT_PORT)
    distribution = config.setdefault('env_cfg', {}).setdefault('dist_cfg', {})
    distribution['backend'] = 'gloo'
    _start_group('gloo', distribution)
    wrapper = config.get('model_wrapper_cfg') or {}
    wrapper.setdefault('type', 'MMDistributedDataParallel')
    wrapper['device_ids'] = None
    # As the runner's own wrapping does: buffers (BatchNorm statistics) stay those of each rank.
    wrapper.setdefault('broadcast_buffers', False)
    wrapper.setdefault('find_unused_parameters', config.get('find_unused_parameters', False))
    config.model_wrapper_cfg = wrapper
