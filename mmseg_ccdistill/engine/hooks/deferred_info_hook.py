"""Log values stay on the device until somebody reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.model import is_model_wrapper
from mmseg.registry import HOOKS
from torch import Tensor

from ...runtime.host_values import is_due, to_host
from .progress_hook import RichProgressHook


@HOOKS.register_module()
class DeferredInfoHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook`` without its wait for the device in every iteration.

    mmengine moves every value that the model returns to the host as soon as it is there, one by one. Here they
    are kept and moved together when the log or the console is about to show them, before a validation, and before
    a checkpoint is written. The message hub then holds the same histories; between those moments it is behind.

    A model with a method ``set_iteration`` is told the iteration and the length of the run before each iteration.
    """

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[dict[str, Any]] = []
        self._intervals: list[int] = []

    def before_train(self, runner: Any) -> None:
        """Learn when values will be read."""
        super().before_train(runner)
        readers = (LoggerHook, RichProgressHook)
        self._intervals = [hook.interval for hook in runner.hooks if isinstance(hook, readers)]

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Tell the model which iteration begins."""
        super().before_train_iter(runner, batch_idx, data_batch)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if hasattr(model, 'set_iteration'):
            model.set_iteration(runner.iter, runner.max_iters)

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the values; write them to the message hub if they are about to be read."""
        if outputs:
            self._kept.append(
                {k: v.detach() if isinstance(v, Tensor) else v for k, v in outputs.items()}
            )
        if not self._intervals or any(is_due(runner, interval) for interval in self._intervals):
            self._write(runner)

    def before_val(self, runner: Any) -> None:
        """Write what is kept."""
        self._write(runner)
        super().before_val(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Write what is kept."""
        self._write(runner)

    def after_train(self, runner: Any) -> None:
        """Write what is kept."""
        self._write(runner)
        super().after_train(runner)

    def _write(self, runner: Any) -> None:
        """Move the kept values to the message hub in their order."""
        numbers = iter(to_host([value for row in self._kept for value in row.values()]))
        for row in self._kept:
            for key in row:
                runner.message_hub.update_scalar(f'train/{key}', next(numbers))
        self._kept.clear()
