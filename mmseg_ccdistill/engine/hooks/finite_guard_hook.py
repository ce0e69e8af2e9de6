"""Losses, gradients, weights and batch statistics stay finite, or the run says where they did not."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmseg.registry import HOOKS
from torch import Tensor

from ..gradient_guard import GradientGuard
from ..run_errors import RunError
from .deferred_info_hook import is_due, to_host


class NonFiniteError(RunError):
    """Training has diverged; the message says where, what was written and what to change."""


class StepRecord(NamedTuple):
    """One iteration.

    Attributes:
        iteration: From 1.
        paths: Image files of the batch, by domain.
        values: Loss terms and ``grad_norm``; tensors on the device until they are checked.
    """

    iteration: int
    paths: dict[str, list[str]]
    values: dict[str, Any]


def batch_paths(data_batch: Any) -> dict[str, list[str]]:
    """Image files of a batch, by domain (``''`` for a plain batch).

    Args:
        data_batch (dict): What the data loader gives: ``data_samples`` is a list, or one list per domain.

    Returns:
        dict[str, list[str]]: Empty if the samples do not know their files.
    """
    samples = data_batch.get('data_samples') if isinstance(data_batch, Mapping) else None
    groups = samples if isinstance(samples, Mapping) else {'': samples or []}
    paths = {
        domain: [str(sample.get('img_path')) for sample in group if sample.get('img_path')]
        for domain, group in groups.items()
    }
    return {domain: files for domain, files in paths.items() if files}


def first_bad(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """Name of the first tensor with an element that is not finite; None if there is none."""
    named = [(name, value) for name, value in tensors if value.is_floating_point()]
    if not named:
        return None
    finite = torch.stack([torch.isfinite(value).all() for _, value in named]).tolist()
    return next((name for (name, _), good in zip(named, finite, strict=True) if not good), None)


@HOOKS.register_module()
class FiniteGuardHook(Hook):
    """Skips steps that are not finite, repairs batch statistics, stops a run that has diverged.

    A step whose gradient norm is not finite changes nothing (:class:`GradientGuard`). The host looks at loss terms
    and norms once per interval, in one transfer. It warns of bad iterations, restores running batch statistics
    that one of them made non-finite to those of the last clean interval, and after ``max_in_row`` bad ones in a
    row writes ``nonfinite_iter_<n>_rank<r>.json`` (files, terms and norms of the iterations) and ends the run.
    Weights that are not finite are never saved. ``grad_norm`` is added to the log, measured before the step.

    Args:
        max_in_row (int): Bad iterations in a row that end the run. Defaults to 10.
        interval (int): Iterations between two looks. Defaults to 50.

    Raises:
        ValueError: If an argument is not positive.
    """

    priority = 'HIGHEST'  # before the values are logged and a checkpoint is written

    def __init__(self, max_in_row: int = 10, interval: int = 50) -> None:
        if max_in_row < 1 or interval < 1:
            raise ValueError(
                f'FiniteGuardHook: max_in_row and interval must be at least 1, got {max_in_row} and {interval}.'
            )
        self.max_in_row = max_in_row
        self.interval = interval
        self.skipped = 0
        self._in_row = 0
        self._guards: list[GradientGuard] = []
        self._unchecked: list[StepRecord] = []
        self._checked: deque[StepRecord] = deque(maxlen=max_in_row)
        self._statistics: dict[str, Tensor] = {}

    def before_train(self, runner: Any) -> None:
        """Watch the optimizers and remember the batch statistics.

        Args:
            runner: The runner.
        """
        wrappers = runner.optim_wrapper
        wrappers = wrappers.values() if hasattr(wrappers, 'values') else [wrappers]
        self._guards = [GradientGuard(wrapper.optimizer) for wrapper in wrappers]
        self._log_norm = not any(getattr(w, 'clip_grad_kwargs', None) for w in wrappers)
        self._statistics = {name: b.clone() for name, b in _batch_statistics(runner.model)}

    def after_train(self, runner: Any) -> None:
        """Check what is left and let the optimizers go.

        Args:
            runner: The runner.
        """
        self._check(runner)
        for guard in self._guards:
            guard.remove()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Keep what a look at this iteration would need; look at the interval.

        Args:
            runner: The runner.
            batch_idx: Not used.
            data_batch: The batch, for the names of its files.
            outputs: What the model's ``train_step`` returned; ``grad_norm`` is added.
        """
        outputs = {} if outputs is None else outputs
        norms = [guard.norm for guard in self._guards if guard.norm is not None]
        if norms and self._log_norm:
            outputs['grad_norm'] = norms[0] if len(norms) == 1 else torch.stack(norms).norm()
        values = {
            k: v for k, v in outputs.items() if k == 'grad_norm' or ('loss' in k and k != 'loss')
        }
        values = {k: v.detach() if isinstance(v, Tensor) else v for k, v in values.items()}
        self._unchecked.append(StepRecord(runner.iter + 1, batch_paths(data_batch), values))
        if is_due(runner, self.interval):
            self._check(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Refuse to save weights that are not finite.

        Args:
            runner: The runner.
            checkpoint: What is about to be saved.

        Raises:
            NonFiniteError: Naming the first tensor.
        """
        self._check(runner)
        name = first_bad(
            (key, value)
            for key, value in checkpoint['state_dict'].items()
            if isinstance(value, Tensor)
        )
        if name is not None:
            raise NonFiniteError(
                f'{name} is not finite at iteration {runner.iter}, so no checkpoint is written: lower the learning '
                f'rate or clip gradients and resume from the last one in {runner.work_dir}.'
            )

    def _check(self, runner: Any) -> None:
        """Bring the values of the interval to the host and act on those that are not finite."""
        numbers = iter(
            to_host([value for step in self._unchecked for value in step.values.values()])
        )
        bad: list[StepRecord] = []
        for step in self._unchecked:
            step.values.update({key: next(numbers) for key in step.values})
            self._checked.append(step)
            is_bad = not all(map(math.isfinite, step.values.values()))
            self._in_row = self._in_row + 1 if is_bad else 0
            bad += [step] if is_bad else []
            if self._in_row == self.max_in_row:
                self._stop(runner)
        if bad:
            self._report(runner, bad)
        elif self._unchecked:
            for name, buffer in _batch_statistics(runner.model):
                self._statistics[name].copy_(buffer)
        self._unchecked.clear()

    def _report(self, runner: Any, bad: list[StepRecord]) -> None:
        """Warn of bad iterations and repair the batch statistics they left."""
        self.skipped += len(bad)
        repaired = []
        for name, buffer in _batch_statistics(runner.model):
            if not torch.isfinite(buffer).all():
                buffer.copy_(self._statistics[name])
                repaired.append(name)
        terms = [key for key, value in bad[0].values.items() if not math.isfinite(value)]
        files = [path for group in bad[0].paths.values() for path in group]
        note = f'; batch statistics of {len(repaired)} tensors were restored' if repaired else ''
        runner.logger.warning(
            f'{len(bad)} of the last {len(self._unchecked)} iterations were not finite, first {bad[0].iteration} '
            f'({", ".join(terms)}; {", ".join(files) or "files unknown"}): steps without a finite gradient were '
            f'skipped{note}. {self.skipped} so far.'
        )

    def _stop(self, runner: Any) -> None:
        """Write what is known of the last iterations and end the run."""
        path = Path(runner.work_dir) / f'nonfinite_iter_{runner.iter + 1}_rank{get_rank()}.json'
        rows = [step._asdict() for step in self._checked]
        for row in rows:  # strict JSON knows no NaN
            row['values'] = {key: str(value) for key, value in row['values'].items()}
        path.write_text(json.dumps(rows, indent=2) + '\n')
        last = self._checked[-1]
        terms = [key for key, value in last.values.items() if not math.isfinite(value)]
        raise NonFiniteError(
            f'{self.max_in_row} iterations in a row were not finite (up to {last.iteration}: {", ".join(terms)}), '
            f'see {path}: lower the learning rate or clip gradients and resume from the last checkpoint.'
        )


def _batch_statistics(model: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Floating-point buffers that a checkpoint holds: running means and variances."""
    inner: Any = model.module if is_model_wrapper(model) else model
    saved = inner.state_dict(keep_vars=True)
    for name, buffer in inner.named_buffers():
        if name in saved and buffer.is_floating_point():
            yield name, buffer
