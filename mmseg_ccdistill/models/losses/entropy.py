"""Entropy of the predicted classes (Vu et al., ADVENT, CVPR 2019): maps, their mean, and a prior on the classes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...errors import UserInputError
from ..precision import autocast_off, full_precision


def self_information(logits: Tensor) -> Tensor:
    r"""Weighted self-information of each class, as a share of the largest entropy.

    .. math:: I_c = \frac{-p_c \ln p_c}{\ln K}

    It comes from the logarithm of the softmax, so a class of probability 0 has 0, in value and gradient. The published
    code adds 1e-30 to the probabilities, which is 0 in half precision and ends in NaN there.

    Args:
        logits (Tensor): ``(B, K, ...)``, at the size at which the entropy is meant. K >= 2.

    Returns:
        Tensor: The same shape, in float32 (float64 stays float64), from 0 to 1 / (e ln K).
    """
    with autocast_off(logits):
        log_p = full_precision(logits).log_softmax(1)
        return log_p.exp() * log_p / -math.log(logits.shape[1])


def check_hardest(hardest: float | None) -> None:
    """Refuse a share of pixels that is none.

    Args:
        hardest (float, optional): Share, or None for all pixels.

    Raises:
        ValueError: If it is not above 0 and at most 1.
    """
    if hardest is not None and not 0 < hardest <= 1:
        raise UserInputError(
            f'hardest must be a share of the pixels above 0 and at most 1, got {hardest}: leave it out for all pixels.'
        )


def entropy_loss(logits: Tensor, hardest: float | None = None) -> Tensor:
    """Mean entropy of the pixels, as a share of the largest: 0 where all are sure, 1 where none knows anything.

    Args:
        logits (Tensor): ``(B, K, H, W)`` at the size of the image.
        hardest (float, optional): Entropy ranking: mean over this share of each image's pixels, those of the largest
            entropy; at least one pixel. The paper has 0.3. Defaults to None, all pixels.

    Returns:
        Tensor: Scalar in float32 (float64 stays float64).

    Raises:
        ValueError: If ``hardest`` is not above 0 and at most 1.
    """
    check_hardest(hardest)
    entropy = self_information(logits).sum(1)
    if hardest is None:
        return entropy.mean()
    pixels = entropy.flatten(1)
    return pixels.topk(max(round(hardest * pixels.shape[1]), 1), sorted=False).values.mean()


def class_prior_loss(logits: Tensor, prior: Tensor, relaxation: float = 0.5) -> Tensor:
    r"""How much of each class is missing in an image, against its share in the source.

    .. math:: \sum_c \max(0, \mu h_c - \mathrm{mean}_i \, p_{i,c})

    of each image, averaged over the images. It keeps the entropy from making everything one class.

    Args:
        logits (Tensor): ``(B, K, H, W)``.
        prior (Tensor): h, the share of each class in the labels of the source, ``(K,)``, sum 1.
        relaxation (float): mu. Defaults to 0.5, the paper's.

    Returns:
        Tensor: Scalar in float32 (float64 stays float64), from 0 to mu.
    """
    with autocast_off(logits):
        shares = full_precision(logits).softmax(1).mean((2, 3))
        return torch.relu(relaxation * prior.to(shares.dtype) - shares).sum(1).mean()
