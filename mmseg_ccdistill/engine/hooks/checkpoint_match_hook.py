"""Hook that refuses a checkpoint of another model."""

from __future__ import annotations

from typing import Any

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ...errors import UserInputError
from ...models.segmentors import AdaptationSegmentor
from ...runtime.checkpoint_match import check_match
from ...runtime.checkpoint_weights import check_weights


@HOOKS.register_module()
class CheckpointMatchHook(Hook):
    """Stop if ``load_from`` or ``resume`` names a checkpoint of which nothing fits the model.

    mmengine loads what matches and warns about the rest, so a run with a foreign checkpoint trains
    from random weights. An ``AdaptationSegmentor`` checks by itself: it also takes plain
    checkpoints.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Count the tensors that fit by name and shape.

        Raises:
            UserInputError: If there is no tensor, none fits, or most of them have another shape.
        """
        path = getattr(runner, '_load_from', None) or 'load_from'
        check_weights(checkpoint, path)
        model = runner.model
        while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
            model = model.module
        if isinstance(model, AdaptationSegmentor):
            return
        loaded = {
            name.removeprefix('module.'): value
            for name, value in checkpoint.get('state_dict', checkpoint).items()
        }
        try:
            matched, expected = check_match(loaded, model.state_dict())
        except ValueError as error:
            raise UserInputError(f'{path}: {error}') from error
        print_log(f'checkpoint: {matched} of {expected} tensors fit', logger='current')
