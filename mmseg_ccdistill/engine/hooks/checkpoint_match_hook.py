"""Hook that refuses a checkpoint of another model."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...models.segmentors import CrossDomainSegmentor


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Stop if ``load_from`` or ``resume`` names a checkpoint of which nothing fits the model.

    mmengine loads what matches and warns about the rest, so a run with a foreign checkpoint trains
    from random weights. A ``CrossDomainSegmentor`` checks by itself: it also takes plain
    checkpoints.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Count the tensors that fit by name and shape.

        Args:
            runner: The runner.
            checkpoint: What was read, before it goes to the model.

        Raises:
            ValueError: If no tensor fits.
        """
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        if isinstance(model, CrossDomainSegmentor):
            return
        loaded = checkpoint.get('state_dict', checkpoint)
        expected = model.state_dict()
        matched = sum(
            name.removeprefix('module.') in expected
            and expected[name.removeprefix('module.')].shape == getattr(value, 'shape', None)
            for name, value in loaded.items()
        )
        if not matched:
            raise ValueError(
                f'the checkpoint fits nothing in the model: its first tensor is '
                f'{next(iter(loaded), "missing")}, the model expects e.g. {next(iter(expected))}; pass a '
                'checkpoint of the same backbone and decode head.'
            )
        print_log(f'checkpoint: {matched} of {len(expected)} tensors matched', logger='current')
