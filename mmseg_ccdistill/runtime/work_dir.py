"""The folder that a run writes to."""

from __future__ import annotations

import os
from pathlib import Path

from mmengine.config import Config

from ..errors import UserInputError


def make_work_dir(path: str) -> None:
    """Make the folder of a run, or say why that is not possible.

    Raises:
        UserInputError: If it is a file, lies in a file, or cannot be written.
    """
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserInputError(
            f'the work dir {path!r} cannot be made ({reason}): expected a folder that can be written; '
            'name another one with --work-dir'
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UserInputError(
            f'the work dir {path!r} is read-only: expected a folder that can be written; name another '
            'one with --work-dir or change its permissions'
        )


def default_work_dir(config_path: str) -> str:
    """Name the folder of a run after its config: ``work_dirs/ccdistill/run`` for ``configs/ccdistill/run.py``.

    The path below the folder ``configs`` is kept, so that two methods' configs of one file name do not share a
    folder. A config elsewhere goes by the name of its folder.
    """
    path = Path(os.path.abspath(config_path)).with_suffix('')
    parts = path.parts[1:]  # without the root
    if 'configs' in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index('configs')
        return str(Path('work_dirs', *parts[last + 1 :]))
    return str(Path('work_dirs', *parts[-2:]))


def set_work_dir(config: Config, config_path: str, work_dir: str | None) -> None:
    """Decide where the run writes, and make that folder.

    The command line wins over the config, and the config over :func:`default_work_dir`.

    Raises:
        UserInputError: If it is a file, lies in a file, or cannot be written.
    """
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = default_work_dir(config_path)
    make_work_dir(config.work_dir)
