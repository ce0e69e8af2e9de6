"""The command line of the tools: common arguments, the config with its settings, the exit code."""

import argparse
import gc
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.config import Config
from torch import distributed as torch_dist

from ccdistill.shipped_files import find_config, nearest_config

from ..errors import UserInputError
from .checkpoint_file import TRUST_VARIABLE
from .config_overrides import apply_overrides
from .loader_workers import fit_loaders_to_workers
from .override_syntax import add_override_argument
from .prediction_mode import check_prediction_mode
from .processes import LAUNCHERS
from .ranks import launcher_of_command, process_of, speaker
from .rate_multipliers import check_multipliers
from .run_errors import StoppedBySignal, ending_of
from .run_log import warn
from .start_together import end_together, leave_store

#: What ``--cfg-options`` cannot set in a tool whose weights an argument names.
NAMED_BY_CHECKPOINT = {
    'load_from': 'the argument CHECKPOINT names the weights; leave it out',
    'resume': 'only a training is resumed; leave it out',
}


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that training and testing share, named as in MMSegmentation's tools."""
    parser.add_argument(
        '--work-dir',
        help='folder for logs and checkpoints; else that of the config, '
        'else ./work_dirs/<folder of the config>/<its name>',
    )
    add_override_argument(parser)
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='what started this process (default: none, a single process)',
    )
    add_trust_argument(parser)
    # torch.distributed.launch of torch >= 2.0 passes the spelling with a hyphen.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-pickle``, which :func:`trust_pickle` obeys."""
    parser.add_argument(
        '--trust-pickle',
        action='store_true',
        help='unpickle checkpoints that hold more than tensors and plain values; such a file can '
        'run any program as you',
    )


def check_counts(parser: argparse.ArgumentParser, args: argparse.Namespace, *names: str) -> None:
    """End the program, as the parser does, if one of these arguments is below 1 (``names`` as in ``args``)."""
    for name in names:
        value = getattr(args, name)
        if value is not None and value < 1:
            parser.error(f'--{name.replace("_", "-")} must be at least 1, got {value}')


def trust_pickle(is_trusted: bool) -> None:
    """Let this process unpickle checkpoints that are not safe to read if ``--trust-pickle`` was given, and say so."""
    if is_trusted:
        os.environ[TRUST_VARIABLE] = '1'
        warn('--trust-pickle: checkpoints of this run may execute code')


def config_file(name: str) -> str:
    """The file of a config that is given by its path, or by its name if it ships with the package.

    Args:
        name: A path, or a name without path and ending, such as ``ccdistill/refinenet_r101_cs2dz``. A file of that
            path goes first.

    Raises:
        UserInputError: If there is neither; the message names the shipped config that is most like it.
    """
    if os.path.isfile(name):
        return name
    shipped = find_config(name)
    if shipped is not None:
        return str(shipped)
    what = 'is a folder' if os.path.isdir(name) else 'does not exist'
    example = nearest_config(name) or 'ccdistill/refinenet_r101_cs2dz'
    raise UserInputError(
        f'the config file {name!r} {what}; give the path of a config, or the name of one that ships, such as {example}'
    )


def load_config(
    path: str,
    overrides: Mapping[str, Any] | None = None,
    overruled: Mapping[str, str] | None = None,
) -> Config:
    """Read a config file and apply the command line's settings to it.

    Args:
        path: Config file (.py, .yaml, .json), or the name of a shipped config.
        overrides: Dotted keys and their values, from ``--cfg-options``.
        overruled: Top-level names that the tool sets itself, and what to do instead.

    Raises:
        UserInputError: If the file or one of its bases is missing or not a config, a segmentor lacks what its way
            to predict needs, or a multiplier has nothing to multiply.
        OverrideError: If an override has no place in the config.
        UnreadSettingError: If nothing reads a setting.
    """
    path = config_file(path)
    try:
        config = Config.fromfile(path)
    except Exception as error:  # a config is a program: it may raise anything
        reason = str(error).splitlines()[0] if str(error) else ''
        raise UserInputError(
            f'the config file {path!r} cannot be read ({type(error).__name__}: {reason}): expected a '
            'config whose _base_ files and custom_imports exist; correct it'
        ) from error
    apply_overrides(config, path, overrides, overruled=overruled)
    check_prediction_mode(config, path)
    check_multipliers(config, path)
    fit_loaders_to_workers(config)
    return config


def run_main(main: Callable[[], None]) -> int:
    """Run a tool; a :class:`PlainError` ends it in one sentence, a fault of the code in a traceback.

    Every process says its own sentence, with its rank in front if the launcher has started several.

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
        if ending is None:
            end_together(process, error, ' '.join(f'{type(error).__name__}: {error}'.split()))
            raise
        sentence, code = ending
        print(f'error: {speaker(process)}{sentence}', file=sys.stderr, flush=True)
        end_together(process, error, sentence)
    leave_store()
    _leave_process_group(has_failed=0 < code < 128)
    return code


def _leave_process_group(has_failed: bool) -> None:
    """End the threads of gloo while the interpreter lives: at its own end they now and then abort the process."""
    if not (torch_dist.is_available() and torch_dist.is_initialized()):
        return
    if has_failed and torch_dist.get_backend() != 'gloo':
        return  # NCCL waits here for the process that is gone
    gc.collect()  # the wrapped model sits in reference cycles and holds the process group
    torch_dist.destroy_process_group()
