"""A run on the device that is stopped and resumed, beside two that are not."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub, MMLogger
from mmseg.registry import HOOKS
from mmseg.visualization import SegLocalVisualizer

from benchmarks.forked_training import final_state, make_data, run_config, same, train
from benchmarks.gpu.settings import Settings

#: The stopped run ends before this iteration (from 0), one after its latest checkpoint.
STOPPED_BEFORE = 5


class Stopped(Exception):
    """Ends a run as a kill would, but for the process."""


@HOOKS.register_module()
class WitnessHook(Hook):
    """Notes the batch of every iteration, and ends the run before a given one.

    Args:
        stop: Iteration, from 0. Defaults to None, never.
    """

    priority = 'LOWEST'
    #: Digest of the pixels by iteration, of the run in progress.
    seen: dict[int, str] = {}

    def __init__(self, stop: int | None = None) -> None:
        self.stop = stop

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Note the batch.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: The batch.

        Raises:
            Stopped: If it is time.
        """
        if runner.iter == self.stop:
            raise Stopped
        digest = hashlib.sha256()
        for domain in sorted(data_batch['inputs']):
            for image in data_batch['inputs'][domain]:
                digest.update(image.cpu().numpy().tobytes())
        self.seen[runner.iter] = digest.hexdigest()


@contextmanager
def _repeatable() -> Iterator[None]:
    """Repeatable kernels of cuDNN; the switches of a run put back afterwards."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    threads = torch.get_num_threads(), cv2.getNumThreads()
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])


def _run(data: Path, work_dir: Path, name: str, stop: int | None = None) -> dict[int, str]:
    """Train, or go on; returns the batches seen."""
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):
        kept._instance_dict.clear()  # MMEngine keeps one for the life of a process
    config = run_config(data, work_dir)
    config.experiment_name = name
    config.log_level = 'WARNING'
    config.env_cfg.cudnn_benchmark = False
    config.custom_hooks.append(dict(type='WitnessHook', stop=stop))
    WitnessHook.seen = {}
    try:
        train(config)
    except Stopped:
        pass
    return WitnessHook.seen


def resume_row(settings: Settings) -> dict[str, Any]:
    """Stop a run between two checkpoints, resume it, compare it with runs that were not stopped.

    Args:
        settings: Of the run.

    Returns:
        ``same_draws``: whether the resumed run saw the batches of the whole one; ``bit_equal``: whether it ends
        with the same weights, optimizer, schedule and losses to the last bit, and ``difference``, the largest
        of a weight; the same of a second whole run (``repeat_...``), which tells what the kernels themselves vary.
    """
    with tempfile.TemporaryDirectory() as folder, _repeatable():
        root = Path(folder)
        data = make_data(root)
        draws = _run(data, root / 'whole', 'whole')
        _run(data, root / 'again', 'again')
        _run(data, root / 'broken', 'broken', STOPPED_BEFORE)
        resumed = _run(data, root / 'broken', 'resumed')
        states = {name: final_state(root / name) for name in ('whole', 'again', 'broken')}
    return dict(
        device=settings.device.type,
        resumed_from=min(resumed),
        same_draws=resumed == {i: draws[i] for i in resumed},
        bit_equal=same(states['whole'], states['broken']),
        difference=_difference(states['whole'], states['broken']),
        repeat_bit_equal=same(states['whole'], states['again']),
        repeat_difference=_difference(states['whole'], states['again']),
    )


def _difference(first: dict[str, Any], second: dict[str, Any]) -> float:
    """Largest absolute difference of a weight."""
    ours, theirs = first['state_dict'], second['state_dict']
    return max(float((ours[k].double() - theirs[k].double()).abs().max()) for k in ours)
