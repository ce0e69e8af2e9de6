"""What the work dir of a training tells: its config, its curves, its machine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..errors import UserInputError
from ..export.branch_export import PLAIN_CONFIG_HEAD
from .training_log import history

#: Lines of the environment in a log that say nothing of a result.
_LEFT_OUT = ('PyTorch compiling details', 'TorchVision', 'cudnn_benchmark', 'mp_cfg')


@dataclass(frozen=True)
class Run:
    """A training, read from its work dir.

    Attributes:
        folder: The work dir.
        config: Config with all settings of the command line.
        config_name: File name of the config, without ending.
        rows: Logged values of the training, one dict for each logging interval.
        validations: Logged values of its validations, ``step`` among them.
        environment: Name and value of what the log says of the machine.
    """

    folder: Path
    config: Config
    config_name: str
    rows: Sequence[Mapping[str, Any]]
    validations: Sequence[Mapping[str, Any]]
    environment: Mapping[str, str]

    @property
    def seed(self) -> int | None:
        """Random seed, if the config names one."""
        return (self.config.get('randomness') or {}).get('seed')

    @property
    def iterations(self) -> tuple[int, int | None]:
        """Iterations that are logged, and how many were asked for."""
        steps = (int(row['step']) for row in [*self.rows, *self.validations] if 'step' in row)
        done = max(steps, default=0)
        return done, (self.config.get('train_cfg') or {}).get('max_iters')


def read_run(folder: str | Path) -> Run:
    """Read a work dir.

    The config is the one that mmengine wrote at the start of the newest training in it. It is a program, as every
    config: read it before you report on a run of somebody else.

    Args:
        folder: Work dir of a training, finished or not.

    Raises:
        UserInputError: If it is no folder, or no training has logged anything in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = 'is a file' if folder.exists() else 'does not exist'
        raise UserInputError(
            f'the run {str(folder)!r} {what}: expected the work dir of a training, for example '
            'work_dirs/ccdistill/refinenet_r101_cs2dz'
        )
    logged = sorted(folder.glob('*/vis_data/scalars.json'))
    rows = history(folder)
    trained = [row for row in rows if 'loss' in row or 'lr' in row]
    if not trained:
        raise UserInputError(
            f'the run {str(folder)!r} has logged nothing yet: expected DATE_TIME/vis_data/scalars.json with values of '
            'a training; wait for its first logging interval, or name another work dir'
        )
    file = logged[-1].with_name('config.py')
    return Run(
        folder,
        _read_config(file),
        _config_name(folder),
        trained,
        [row for row in rows if 'loss' not in row and 'lr' not in row and 'step' in row],
        read_environment(file.parents[1]),
    )


def _read_config(file: Path) -> Config:
    try:
        return Config.fromfile(str(file), import_custom_modules=False)
    except Exception as error:  # a config is a program: it may raise anything
        raise UserInputError(
            f'{str(file)!r} cannot be read ({type(error).__name__}): expected the config that a training writes; '
            'name the work dir of a whole run'
        ) from error


def _config_name(folder: Path) -> str:
    """Name of the newest config that is no export: MMEngine writes it under its own."""
    files = sorted(folder.glob('*.py'), key=lambda file: file.stat().st_mtime, reverse=True)
    found = (file.stem for file in files if not _is_exported(file))
    return next(found, folder.resolve().name)


def _is_exported(file: Path) -> bool:
    with file.open(encoding='utf-8', errors='replace') as lines:
        return lines.readline().startswith(PLAIN_CONFIG_HEAD)


def read_environment(log_folder: Path) -> dict[str, str]:
    """What mmengine writes of the machine at the head of a log.

    Args:
        log_folder: Folder of one start, ``DATE_TIME``.

    Returns:
        Name and value, without how PyTorch was compiled; empty without a log.
    """
    logs = sorted(log_folder.glob('*.log'))
    text = logs[0].read_text(encoding='utf-8', errors='replace') if logs else ''
    _, _, block = text.partition('System environment:')
    found = {}
    for line in block.partition('\n-----')[0].splitlines():
        match = re.match(r'    (\S[^:]*): (.*)', line)
        if match and match[1] not in _LEFT_OUT:
            found[match[1]] = match[2]
    return found
