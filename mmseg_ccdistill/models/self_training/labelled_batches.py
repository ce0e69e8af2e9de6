"""What self-training learns from: batches that are made of the labelled source and the pseudo-labelled target."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmseg.utils import SampleList
from torch import Tensor

from ...errors import UserInputError
from .class_mix import paste_into, paste_mask
from .masked_image import hide_patches


class LabelledBatch(NamedTuple):
    """Images that a network learns from.

    Attributes:
        images: Normalised, ``(B, 3, H, W)``.
        labels: ``(B, H, W)`` int64.
        weights: Of the pixels, q, ``(B, H, W)``.
    """

    images: Tensor
    labels: Tensor
    weights: Tensor


def paste(mask: Tensor, source: LabelledBatch, target: LabelledBatch) -> LabelledBatch:
    """The source where the mask ``(B, H, W)`` says so, the target elsewhere."""
    return LabelledBatch(*(paste_into(mask, *pair) for pair in zip(source, target, strict=True)))


def mix(
    source: LabelledBatch, target: LabelledBatch, draws: SampleList, rule: str, things: Tensor
) -> LabelledBatch:
    """Classes of the source in the target.

    Args:
        source: Labelled.
        target: Pseudo-labelled.
        draws: Samples with the random numbers of ``DrawMixing``.
        rule: One of ``class_mix.PASTES``.
        things: Which classes are things, ``(K,)`` bool.

    Raises:
        UserInputError: If there are no random numbers, or too few.
    """
    uniforms, count = drawn(draws, 'mix_classes'), len(things)
    if uniforms.shape[1] < count:
        raise UserInputError(
            f'SelfTraining: DrawMixing draws for {uniforms.shape[1]} classes, but there are {count}: '
            f'set num_classes={count} of DrawMixing in train_dataloader.dataset.pipeline.'
        )
    return paste(paste_mask(source.labels, uniforms[:, :count], rule, things), source, target)


def hide(
    source: LabelledBatch, target: LabelledBatch, draws: SampleList, ratio: float
) -> LabelledBatch:
    """Images with hidden patches: even ones of the source, odd ones of the target.

    Args:
        source: Labelled.
        target: Pseudo-labelled.
        draws: Samples with the random numbers of ``DrawMixing``.
        ratio: Share of the patches that are hidden.

    Raises:
        UserInputError: If the batch is one image, or there are no random numbers.
    """
    if len(source.images) < 2:
        raise UserInputError(
            'SelfTraining: masked_ratio takes the even images of a batch from the source and the odd ones from the '
            'target: expected train_dataloader.batch_size of at least 2, got 1; raise it, or set masked_ratio=None.'
        )
    device = source.images.device
    is_source = (torch.arange(len(source.images), device=device) % 2 == 0).view(-1, 1, 1)
    batch = paste(is_source.expand_as(source.labels), source, target)
    return batch._replace(images=hide_patches(batch.images, drawn(draws, 'mix_patches'), ratio))


def drawn(samples: SampleList, name: str) -> Tensor:
    """Random numbers of all samples, ``(B, ...)``.

    Args:
        samples: Of the target.
        name: Field that ``DrawMixing`` has set.

    Raises:
        UserInputError: If a sample has none.
    """
    if any(name not in sample for sample in samples):
        raise UserInputError(
            f'SelfTraining: the samples of the target have no {name}: expected the random numbers of the mixing; add '
            "dict(type='DrawMixing') before PackCrossDomainInputs to train_dataloader.dataset.pipeline."
        )
    return torch.stack([sample.get(name) for sample in samples])
