"""What a reproduction will take: hours, GPU memory and disk, before anything is trained.

FLOP and activations are counted on the meta device; the speed cannot be, and is an assumption that the user may change.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from benchmarks.reproduction.plan import OfCheckpoint, Submission, Training
from benchmarks.stages import Stage
from benchmarks.step_cost import GIB, count_run
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation.report import markdown_table
from mmseg_ccdistill.runtime.meta_device import meta_device

#: TFLOP per second that a training keeps up: 5 it/s of the paper's 10.9 TFLOP, measured with MMEngine's defaults on
#: one H200 (docs/performance.md).
ASSUMED_TFLOPS = 54.0
#: Seconds for one image that is tested or predicted at 960 x 540 and written at 1920 x 1080; an estimate.
SECONDS_PER_IMAGE = 0.5
#: Numbers that an optimizer keeps for each parameter.
_MOMENTS = {'SGD': 1, 'Adam': 2, 'AdamW': 2}
#: Bytes of a zip: three PNG of 2 megapixels for each image of Dark Zurich test; an estimate.
_ZIP_BYTES = 0.5 * GIB


class Forecast(NamedTuple):
    """What one training takes.

    Attributes:
        name: Its stage.
        iterations: Its length.
        tflop: TFLOP of an iteration, the mean over the run.
        its_per_second: Iterations a second at the assumed speed.
        hours: Its duration at that.
        memory: Bytes of weights, gradients, moments and activations; the library's own buffers come on top.
        checkpoint: Bytes of one checkpoint.
        disk: Bytes of all that are kept, and of one more that is being written.
    """

    name: str
    iterations: int
    tflop: float
    its_per_second: float
    hours: float
    memory: float
    checkpoint: float
    disk: float


def _moments(config: Config) -> int:
    optimizer = config.optim_wrapper.optimizer
    kinds = [optimizer] if 'type' in optimizer else list(optimizer.values())
    return max(_MOMENTS.get(kind['type'], 2) for kind in kinds)


def forecast(stage: Stage, tflops: float) -> Forecast:
    """Reckon one training.

    Args:
        stage: The training.
        tflops: TFLOP per second that the machine keeps up.
    """
    config = Config.fromfile(stage.config)
    init_default_scope(config.get('default_scope', 'mmseg'))
    with meta_device():
        model = MODELS.build(config.model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(t.numel() for t in (*model.parameters(), *model.buffers())) - trained
    cost = count_run(config, stage.max_iters)
    moments = _moments(config)
    checkpoint = 4.0 * (trained * (1 + moments) + frozen)
    kept = config.default_hooks.checkpoint.get('max_keep_ckpts', -1)
    number = kept if kept > 0 else stage.max_iters // config.default_hooks.checkpoint.interval
    tflop = cost.flops / 1e12
    rate = tflops / tflop
    return Forecast(
        stage.name,
        stage.max_iters,
        tflop,
        rate,
        stage.max_iters / rate / 3600,
        4.0 * (trained * (2 + moments) + frozen) + cost.saved_bytes,
        checkpoint,
        checkpoint * (number + 1),
    )


def forecast_page(stages: Sequence[Stage], images: int, work_dir: Path, tflops: float) -> str:
    """The forecast as text: a row for each training, the sums, and what was assumed.

    Args:
        stages: All stages.
        images: Images that are tested or predicted, over all stages.
        work_dir: Folder of the runs, which need not exist.
        tflops: TFLOP per second that the machine keeps up.

    Raises:
        UserInputError: If the disk has less room than the checkpoints and zips need.
    """
    rows = [forecast(stage, tflops) for stage in stages if isinstance(stage, Training)]
    zips = sum(isinstance(stage, Submission) for stage in stages)
    others = sum(isinstance(stage, OfCheckpoint) for stage in stages)
    disk = sum(row.disk for row in rows) + zips * _ZIP_BYTES
    free, used = _free_bytes(work_dir), _used_bytes(work_dir)
    table = [
        [
            *('stage', 'iterations', 'TFLOP per iteration', 'it/s', 'hours', 'GPU memory, GiB'),
            *('one checkpoint, GiB', 'disk, GiB'),
        ]
    ]
    for row in rows:
        sizes = (f'{size / GIB:.2f}' for size in (row.memory, row.checkpoint, row.disk))
        rates = (f'{row.tflop:.2f}', f'{row.its_per_second:.2f}', f'{row.hours:.1f}')
        table.append([row.name, str(row.iterations), *rates, *sizes])
    testing = images * SECONDS_PER_IMAGE / 3600
    total = sum(row.hours for row in rows) + testing
    lines = [
        markdown_table(table),
        '',
        f'{others} tests and submissions of {images} images: {testing:.1f} hours',
        f'in all: {total:.1f} hours, {max(row.memory for row in rows) / GIB:.1f} GiB of GPU memory, '
        f'{disk / GIB:.1f} GiB of disk ({free / GIB:.1f} GiB are free in {work_dir})',
        f'counted: FLOP, activations, sizes of weights and checkpoints; assumed: {tflops:g} TFLOP/s (--tflops) and '
        f'{SECONDS_PER_IMAGE} s for an image',
    ]
    if disk > free + used:
        raise UserInputError(
            f'--work-dir: {str(work_dir)!r} has {free / GIB:.1f} GiB free, but {(disk - used) / GIB:.1f} GiB are '
            'needed: make room, or name a folder on another disk'
        )
    return '\n'.join(lines)


def _free_bytes(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _used_bytes(folder: Path) -> int:
    """What an earlier start of the same runs has written."""
    return sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())
