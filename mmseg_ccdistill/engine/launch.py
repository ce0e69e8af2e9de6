"""What the training and test tools share: arguments, config, processes, plain errors.

mmengine's launchers select a CUDA device before they start the process group, so they cannot run on
a machine without one, and ``--resume`` quietly starts from scratch when there is nothing to resume.
Both are repaired here, before the runner is built.
"""

import argparse
import datetime
import dis
import gc
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from torch import distributed as torch_dist

from ..datasets.file_check import DatasetCheckError
from ..utils.checkpoint_file import TRUST_VARIABLE
from .config_overrides import apply_overrides
from .loader_workers import fit_loaders_to_workers
from .override_syntax import add_override_argument
from .ranks import RANK_VARIABLES, launcher_of_command, process_of, speaker
from .resume import newest_good_checkpoint
from .run_errors import StoppedBySignal, ending_of
from .start_together import DEFAULT_PORT, end_together, start_together
from .work_dir import make_work_dir

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')

_LAUNCH_ADVICE = {
    'pytorch': 'start it with torchrun, for example `bash tools/dist_train.sh CONFIG GPUS`',
    'slurm': 'start it with srun, for example `bash tools/slurm_train.sh PARTITION JOB CONFIG`',
    'mpi': 'start it with mpirun',
}
_PACKAGE = __name__.partition('.')[0]


#: What ``--cfg-options`` cannot set in a tool whose weights an argument names.
NAMED_BY_CHECKPOINT = {
    'load_from': 'the argument CHECKPOINT names the weights; leave it out',
    'resume': 'only a training is resumed; leave it out',
}


class UserInputError(ValueError):
    """Something the user gave is wrong; the message says what was expected and how to fix it."""


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share, named as in MMSegmentation's tools.

    Args:
        parser: Parser to extend.
    """
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints; else that of the config, '
        'else ./work_dirs/<config name>',
    )
    add_override_argument(parser)
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='what started this process (default: none, a single process)',
    )
    parser.add_argument(
        '--trust-pickle',
        action='store_true',
        help='unpickle checkpoints that hold more than tensors and plain values; such a file can '
        'run any program as you',
    )
    # torch.distributed.launch of torch >= 2.0 passes the spelling with a hyphen.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def trust_pickle(is_trusted: bool) -> None:
    """Let this process unpickle checkpoints that are not safe to read, and say so.

    Args:
        is_trusted: Value of ``--trust-pickle``; False changes nothing.
    """
    if is_trusted:
        os.environ[TRUST_VARIABLE] = '1'
        print_log(
            '--trust-pickle: checkpoints of this run may execute code',
            logger='current',
            level=logging.WARNING,
        )


def load_config(
    path: str,
    overrides: Mapping[str, Any] | None = None,
    overruled: Mapping[str, str] | None = None,
) -> Config:
    """Read a config file and apply the command line's settings to it.

    Args:
        path: Config file (.py, .yaml, .json).
        overrides: Dotted keys and their values, from ``--cfg-options``.
        overruled: Top-level names that the tool sets itself, and what to do instead.

    Returns:
        The merged config.

    Raises:
        UserInputError: If the file or one of its bases is missing or not a config.
        OverrideError: If an override has no place in the config.
        UnreadSettingError: If nothing reads a setting.
    """
    if not os.path.isfile(path):
        what = 'is a folder' if os.path.isdir(path) else 'does not exist'
        raise UserInputError(
            f'the config file {path!r} {what}; give the path of a config, for example '
            'configs/ccdistill/refinenet_r101_cs2dz.py'
        )
    try:
        config = Config.fromfile(path)
    except Exception as error:  # a config is a program: it may raise anything
        reason = str(error).splitlines()[0] if str(error) else ''
        raise UserInputError(
            f'the config file {path!r} cannot be read ({type(error).__name__}: {reason}): expected a '
            'config whose _base_ files and custom_imports exist; correct it'
        ) from error
    apply_overrides(config, path, overrides, overruled=overruled)
    fit_loaders_to_workers(config)
    return config


def set_work_dir(config: Config, config_path: str, work_dir: str | None) -> None:
    """Decide where the run writes.

    The command line wins over the config, and the config over a folder named after its file.

    Args:
        config: Config; ``work_dir`` is set in place.
        config_path: The config file, whose stem names the default folder.
        work_dir: Value of ``--work-dir``.
    """
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = str(Path('work_dirs') / Path(config_path).stem)
    make_work_dir(config.work_dir)


def enable_amp(config: Config) -> None:
    """Switch the optimizer wrapper to mixed precision.

    bfloat16 where the device computes in it (compute capability 8.0 and above), because RefineNet's
    decoder has no normalisation and its float16 sums can overflow; float16 elsewhere. A config that
    is already mixed stays as it is.

    Args:
        config: Config; ``optim_wrapper`` is changed in place.

    Raises:
        UserInputError: If there is no accelerator, or the wrapper is of another type.
    """
    wrapper = config.optim_wrapper
    if wrapper.get('type', 'OptimWrapper') == 'AmpOptimWrapper':
        return
    if wrapper.get('type', 'OptimWrapper') != 'OptimWrapper':
        raise UserInputError(
            f'--amp works on an optim_wrapper of type OptimWrapper, not {wrapper.type}; '
            'set the precision in the config'
        )
    if get_device() == 'cpu':
        raise UserInputError(
            '--amp needs a GPU and none was found; leave it out to train on the CPU'
        )
    has_bfloat16 = torch.cuda.is_available() and torch.cuda.get_device_capability()[0] >= 8
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('dtype', 'bfloat16' if has_bfloat16 else 'float16')
    wrapper.setdefault('loss_scale', 'dynamic')


def resume_last_checkpoint(config: Config) -> str:
    """Make the run continue from the newest whole checkpoint of its work dir.

    mmengine resumes from ``load_from`` whenever that is set, so an adaptation run would restart
    from its source-only checkpoint; here the work dir decides, and ``load_from`` is replaced.

    Args:
        config: Config with its ``work_dir``; ``resume`` and ``load_from`` are set in place.

    Returns:
        Path of the checkpoint.

    Raises:
        UserInputError: If the work dir holds no checkpoint to resume from.
    """
    choice = newest_good_checkpoint(config.work_dir)
    if choice.checkpoint is None:
        reason = choice.describe() if choice.skipped else 'it holds no training checkpoint'
        raise UserInputError(
            f'--resume found nothing to resume in {str(config.work_dir)!r}: {reason}; '
            'leave --resume out to start anew, or name the run to continue with --work-dir'
        )
    if choice.skipped:
        print_log(choice.describe(), logger='current', level=logging.WARNING)
    config.resume, config.load_from = True, str(choice.checkpoint)
    return str(choice.checkpoint)


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
    if get_device() == 'cpu':
        _start_gloo(config, launcher)


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
    if not torch_dist.is_initialized():
        timeout = distribution.get('timeout')  # seconds, as mmengine reads it
        options: dict[str, Any] = {}
        if timeout is not None:
            options['timeout'] = datetime.timedelta(seconds=timeout)
        torch_dist.init_process_group('gloo', **options)
    wrapper = config.get('model_wrapper_cfg') or {}
    wrapper.setdefault('type', 'MMDistributedDataParallel')
    wrapper['device_ids'] = None
    # As the runner's own wrapping does: buffers (BatchNorm statistics) stay those of each rank.
    wrapper.setdefault('broadcast_buffers', False)
    wrapper.setdefault('find_unused_parameters', config.get('find_unused_parameters', False))
    config.model_wrapper_cfg = wrapper


def is_deliberate(error: BaseException) -> bool:
    """Tell whether an error was raised on purpose by this project about its input.

    That is: a ``UserInputError``, or a ``ValueError`` or ``FileNotFoundError`` that comes straight
    from a ``raise`` statement of the package: the instruction at which its innermost frame stands
    tells, so the source file is not needed. The same types out of a library call, and all others,
    are programming errors.

    Args:
        error: Exception with its traceback.

    Returns:
        Whether its message alone is what the user needs.
    """
    if isinstance(error, UserInputError | DatasetCheckError):
        return True
    if not isinstance(error, ValueError | FileNotFoundError):
        return False
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    module = str(trace.tb_frame.f_globals.get('__name__'))
    instruction = dis.opname[trace.tb_frame.f_code.co_code[trace.tb_lasti]]
    return module.partition('.')[0] == _PACKAGE and instruction == 'RAISE_VARARGS'


def run_main(main: Callable[[], None]) -> int:
    """Run a tool; a mistake of the user ends in one sentence, a mistake of ours in a traceback.

    Every process says its own sentence, with its rank in front if the launcher has started several.

    Args:
        main: The tool.

    Returns:
        Exit code: 0, 1 for a run that could not go on, 2 for a mistake in the input, 128 plus the
        signal's number after a signal (130 for Ctrl-C, 143 for SIGTERM).
    """
    code = 0
    try:
        main()
    except KeyboardInterrupt:
        print('\nInterrupted.', file=sys.stderr)
        return 130
    except StoppedBySignal as stop:
        code = int(str(stop.code))
    except Exception as error:
        process = process_of(launcher_of_command())
        ending = ending_of(error)
        if ending is None and is_deliberate(error):
            ending = str(error), 2
        if ending is None:
            end_together(process, error, ' '.join(f'{type(error).__name__}: {error}'.split()))
            raise
        sentence, code = ending
        print(f'error: {speaker(process)}{sentence}', file=sys.stderr, flush=True)
        end_together(process, error, sentence)
        return code
    if torch_dist.is_available() and torch_dist.is_initialized():
        # The wrapped model sits in reference cycles and holds the process group: collected later,
        # at the interpreter's end, gloo's threads now and then abort a run that has succeeded.
        gc.collect()
        torch_dist.destroy_process_group()
    return code
