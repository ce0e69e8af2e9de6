"""What a network says of an image, for pseudo labels: probabilities, upsampled, and the likeliest class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from mmseg.models.segmentors import BaseSegmentor
from mmseg.models.utils import resize
from torch import Tensor

from ...errors import UserInputError
from ...label_ids import IGNORE_INDEX
from ...models.precision import full_precision
from .thresholds import Guess

#: Changes the probabilities ``(K, h, w)`` of an image before the argmax, given its file; another size is allowed.
Refine = Callable[[Tensor, str], Tensor]


class GuessedImage(NamedTuple):
    """A prediction, and what it is of.

    Attributes:
        guess: The prediction at test size.
        size: Width and height of the image itself.
    """

    guess: Guess
    size: tuple[int, int]


def check_model(model: BaseSegmentor, classes: list[str]) -> None:
    """Refuse a model that cannot label these classes from whole images.

    Args:
        model: The segmentor.
        classes: Names of the classes.

    Raises:
        UserInputError: If it has another number of classes, more than fit into a label image, one channel for two
            classes, or predicts in windows.
    """
    if model.num_classes != len(classes) or len(classes) > IGNORE_INDEX:
        raise UserInputError(
            f'the model has {model.num_classes} classes and the data of the config {len(classes)}: expected equal '
            f'numbers, at most {IGNORE_INDEX}; take the config that the checkpoint was trained with'
        )
    if model.out_channels != model.num_classes:
        raise UserInputError(
            f'the decode head has out_channels={model.out_channels} for {model.num_classes} classes: expected a '
            'channel for each class, because pseudo labels need a softmax; set out_channels alike'
        )
    if model.test_cfg.get('mode', 'whole') != 'whole':
        raise UserInputError(
            "the model predicts with test_cfg.mode='slide': expected 'whole', because pseudo labels are made from "
            "whole images at test size; set test_cfg.mode='whole' of the segmentor"
        )


def guess_images(
    model: BaseSegmentor, loader: Iterable[Any], refine: Refine | None = None
) -> Iterator[GuessedImage]:
    """Predict the batches of a loader for pseudo labels.

    As in BDL the softmax is taken at the stride of the head, and the probabilities are upsampled to the size at which
    the network sees the image: the softmax of upsampled logits has other values.

    Args:
        model: Segmentor in evaluation mode.
        loader: Batches of a test pipeline.
        refine: Changes the probabilities of an image at the stride of the head. Defaults to None.

    Yields:
        The prediction for each image.
    """
    for batch in loader:
        with torch.inference_mode():
            data = model.data_preprocessor(batch, False)
            found = head_probabilities(model, data)
            for probabilities, sample in zip(found, data['data_samples'], strict=True):
                if refine is not None:
                    probabilities = refine(probabilities, sample.img_path)
                height, width = sample.ori_shape
                guess = best_guess(
                    probabilities, data['inputs'].shape[2:], sample.img_shape, model.align_corners
                )
                yield GuessedImage(guess, (width, height))


def head_probabilities(model: BaseSegmentor, data: Mapping[str, Any]) -> Tensor:
    """Probabilities at the stride of the head.

    Args:
        model: Segmentor in evaluation mode.
        data: ``inputs`` and ``data_samples`` of its data preprocessor.

    Returns:
        float32 ``(N, K, h, w)``.
    """
    logits = full_precision(model(data['inputs'], data['data_samples'], mode='tensor'))
    weight = getattr(model, 'test_weight', None)  # of a model that re-weights its classes
    if weight is not None:
        logits = logits * weight.view(1, -1, 1, 1)
    return logits.softmax(1)


def best_guess(
    probabilities: Tensor, size: Iterable[int], shown: Iterable[int], align_corners: bool
) -> Guess:
    """Upsample probabilities and take the largest.

    Args:
        probabilities: ``(K, h, w)``.
        size: Height and width of the network's input.
        shown: Those of the image in it, at its upper left; the rest is padding.
        align_corners: As the head upsamples.

    Returns:
        The likeliest class of each pixel, the lowest if several are, and its probability.
    """
    full = resize(probabilities[None], tuple(size), None, 'bilinear', align_corners, warning=False)
    height, width = shown
    confidence, classes = full[0, :, :height, :width].max(0)
    return Guess(classes.to(torch.uint8).cpu().numpy(), confidence.float().cpu().numpy())
