"""Whether the samples will carry the random numbers that self-training reads."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn

from ..datasets import CrossDomainDataset
from ..datasets.transforms import DrawMixing, PackCrossDomainInputs
from ..errors import UserInputError
from ..models.self_training import SelfTraining

#: Packages whose transforms are known; one of another package may draw the numbers itself.
_PACKAGES = frozenset({'mmcv', 'mmseg', 'mmseg_ccdistill'})


def check_mixing(model: nn.Module, dataset: Any, batch_size: int | None = None) -> None:
    """Look for ``DrawMixing`` in the training pipeline, before the first sample.

    Args:
        model: The model, wrapped for several processes or not; one without ``SelfTraining`` is left alone.
        dataset: The training set; other sets than ``CrossDomainDataset`` are left alone, and so are pipelines with
            transforms of other packages, which may draw the numbers themselves.
        batch_size: Of the training. Defaults to None, not known.

    Raises:
        UserInputError: If nothing draws, or for too few classes, or if batches are too small for the masked pass.
    """
    inner: Any = model.module if is_model_wrapper(model) else model
    own = getattr(inner, 'self_training', None)
    if not isinstance(own, SelfTraining) or not isinstance(dataset, CrossDomainDataset):
        return
    if own.masked_ratio is not None and batch_size == 1:
        raise UserInputError(
            'train_dataloader.batch_size is 1, but model.self_training.masked_ratio takes the even images of a batch '
            'from the source and the odd ones from the target: expected at least 2; raise it, or set masked_ratio=None.'
        )
    steps = dataset.pipeline.transforms
    if not own.draws or any(_package(step) not in _PACKAGES for step in steps):
        return
    before = takewhile(lambda step: not isinstance(step, PackCrossDomainInputs), steps)
    mixing = next((step for step in before if isinstance(step, DrawMixing)), None)
    if mixing is None:
        raise UserInputError(
            f'train_dataloader.dataset.pipeline: it draws no {own.draws[0]}, but model.self_training reads it: '
            "expected the random numbers of the mixing; add dict(type='DrawMixing') before PackCrossDomainInputs."
        )
    if 'mix_classes' in own.draws and mixing.num_classes < len(own.classes):
        raise UserInputError(
            f'train_dataloader.dataset.pipeline: DrawMixing draws for {mixing.num_classes} classes, but '
            f'model.self_training has {len(own.classes)}: set num_classes={len(own.classes)} of DrawMixing.'
        )


def _package(step: Any) -> str:
    return type(step).__module__.partition('.')[0]
