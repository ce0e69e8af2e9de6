"""Losses, gradients, weights and batch statistics stay finite, or the run says where they did not."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor

from ...errors import RunError, UserInputError
from ...runtime.finite_state import batch_statistics, first_bad
from ...runtime.gradient_guard import GradientGuard
from ...runtime.host_values import is_due, to_host
from ...runtime.run_setup import by_name
from ...runtime.step_record import StepRecord, batch_paths, whole_step


class NonFiniteError(RunError):
    """Training has diverged; the message says where, what was written and what to change."""


@HOOKS.register_module()
class FiniteGuardHook(Hook):
    """Skips steps that are not finite, repairs batch statistics, stops a run that has diverged.

    A step whose gradient norm is not finite changes nothing (:class:`GradientGuard`). The host looks at loss terms
    and norms once per interval, in one transfer. It warns of bad iterations, restores running batch statistics
    that one of them made non-finite to those of the last clean interval, and after ``max_in_row`` bad steps in a
    row writes ``nonfinite_iter_<n>_rank<r>.json`` (files, terms and norms of the iterations) and ends the run.
    Weights that are not finite are never saved.

    A step is one iteration; under gradient accumulation it is all that were accumulated, and bad if one of them is.
    A step that a loss scaler leaves out is bad, with a norm of NaN. ``grad_norm`` is added to the log, measured before
    the step, in iterations with a step. Where mmengine clips by norm it logs its own, measured before clipping; of
    several optimizers then each has its own, ``<name>.grad_norm``.

    Args:
        max_in_row (int): Bad steps in a row that end the run. Defaults to 10.
        interval (int): Iterations between two looks. Defaults to 50.

    Raises:
        UserInputError: If an argument is not positive.
    """

    priority = 'HIGHEST'  # before the values are logged and a checkpoint is written

    def __init__(self, max_in_row: int = 10, interval: int = 50) -> None:
        if max_in_row < 1 or interval < 1:
            raise UserInputError(
                f'FiniteGuardHook: max_in_row and interval must be at least 1, got {max_in_row} and {interval}.'
            )
        self.max_in_row = max_in_row
        self.interval = interval
        self.skipped = 0
        self._in_row = 0
        self._guards: dict[str, GradientGuard] = {}
        self._logged: set[str] = set()
        self._accumulated = 1
        self._unchecked: list[StepRecord] = []
        self._step: list[StepRecord] = []  # iterations since the last step
        self._checked: deque[StepRecord] = deque(maxlen=max_in_row)
        self._statistics: dict[str, Tensor] = {}

    def before_train(self, runner: Any) -> None:
        """Watch the optimizers and remember the batch statistics."""
        wrappers = by_name(runner.optim_wrapper)
        self._guards = {name: GradientGuard(w.optimizer, w) for name, w in wrappers.items()}
        self._logged = {name for name, wrapper in wrappers.items() if _logs_norm(wrapper)}
        for name in self._logged if len(wrappers) > 1 else ():
            wrappers[name].grad_name = f'{name}.grad_norm'
        self._accumulated = max(getattr(w, '_accumulative_counts', 1) for w in wrappers.values())
        self._checked = deque(maxlen=self.max_in_row * self._accumulated)
        self._statistics = {name: b.clone() for name, b in batch_statistics(runner.model)}

    def after_train(self, runner: Any) -> None:
        """Check what is left and let the optimizers go."""
        self._check(runner)
        for guard in self._guards.values():
            guard.remove()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict | None = None
    ) -> None:
        """Keep what a look at this iteration would need; look at the interval."""
        outputs = {} if outputs is None else outputs
        norms = {name: guard.take_norm() for name, guard in self._guards.items()}
        norms = {name: norm for name, norm in norms.items() if norm is not None}
        outputs.update(self._norms_to_log(norms))
        values = {
            k: v for k, v in outputs.items() if 'loss' in k and k != 'loss' and 'grad_norm' not in k
        }
        if norms:
            values['grad_norm'] = _total(norms)
        values = {k: v.detach() if isinstance(v, Tensor) else v for k, v in values.items()}
        ends_step = bool(norms) or self._accumulated == 1
        self._unchecked.append(
            StepRecord(runner.iter + 1, batch_paths(data_batch), values, ends_step)
        )
        if is_due(runner, self.interval):
            self._check(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Refuse to save weights that are not finite.

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
        for record in self._unchecked:
            record.values.update({key: next(numbers) for key in record.values})
            self._checked.append(record)
            self._step.append(record)
            if record.bad_terms() not in ([], ['grad_norm']):
                bad.append(record)
            if record.ends_step:
                step, self._step = self._step, []
                spoiled = [r for r in step if r.bad_terms()]
                if spoiled == [record] and record.bad_terms() == ['grad_norm']:
                    bad.append(whole_step(step))
                self._in_row = self._in_row + 1 if spoiled else 0
                if self._in_row == self.max_in_row:
                    self._stop(runner)
        if bad:
            self._report(runner, bad)
        elif self._unchecked:
            for name, buffer in batch_statistics(runner.model):
                self._statistics[name].copy_(buffer)
        self._unchecked.clear()

    def _norms_to_log(self, norms: dict[str, Any]) -> dict[str, Any]:
        """Entries for the log, beside those that mmengine makes."""
        if len(self._guards) > 1 and self._logged:
            return {f'{name}.grad_norm': n for name, n in norms.items() if name not in self._logged}
        return {'grad_norm': _total(norms)} if norms and not self._logged else {}

    def _report(self, runner: Any, bad: list[StepRecord]) -> None:
        """Warn of bad iterations and repair the batch statistics they left."""
        self.skipped += len(bad)
        repaired = []
        for name, buffer in batch_statistics(runner.model):
            if not torch.isfinite(buffer).all():
                buffer.copy_(self._statistics[name])
                repaired.append(name)
        files = [path for group in bad[0].paths.values() for path in group]
        terms = ', '.join(bad[0].bad_terms())
        note = f'; batch statistics of {len(repaired)} tensors were restored' if repaired else ''
        runner.logger.warning(
            f'{len(bad)} of the last {len(self._unchecked)} iterations were not finite, first {bad[0].iteration} '
            f'({terms}; {", ".join(files) or "files unknown"}): steps without a finite gradient '
            f'were skipped{note}. {self.skipped} so far.'
        )

    def _stop(self, runner: Any) -> None:
        """Write what is known of the last iterations and end the run."""
        path = Path(runner.work_dir) / f'nonfinite_iter_{runner.iter + 1}_rank{get_rank()}.json'
        rows = [record._asdict() for record in self._checked]
        for row in rows:  # strict JSON knows no NaN
            row['values'] = {key: str(value) for key, value in row['values'].items()}
        path.write_text(json.dumps(rows, indent=2) + '\n')
        last = self._checked[-1]
        terms = dict.fromkeys(
            t for r in list(self._checked)[-self._accumulated :] for t in r.bad_terms()
        )
        what = (
            'iterations' if self._accumulated == 1 else f'steps of {self._accumulated} iterations'
        )
        raise NonFiniteError(
            f'{self.max_in_row} {what} in a row were not finite (up to {last.iteration}: {", ".join(terms)}), '
            f'see {path}: lower the learning rate or clip gradients and resume from the last checkpoint.'
        )


def _logs_norm(wrapper: Any) -> bool:
    """Whether mmengine logs the gradient norm, as it does where it clips by norm."""
    return bool(getattr(wrapper, 'clip_grad_kwargs', None)) and 'grad_norm' in wrapper.grad_name


def _total(norms: Mapping[str, Any]) -> Any:
    """Norm over the gradients of several optimizers."""
    values = list(norms.values())
    if len(values) == 1:
        return values[0]
    device = next((v.device for v in values if isinstance(v, Tensor)), torch.device('cpu'))
    return torch.stack([torch.as_tensor(v, device=device).float() for v in values]).norm()
