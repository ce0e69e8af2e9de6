"""Maximum squares with image-wise class balance (Chen et al., ICCV 2019), the entropy term of UDAclustering."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import UserInputError


def check_ratio(ratio: float) -> None:
    """Refuse a balance that is none.

    Args:
        ratio (float): See :func:`max_square_loss`.

    Raises:
        ValueError: If it is not from 0 to 1.
    """
    if not 0 <= ratio <= 1:
        raise UserInputError(
            f'square_ratio must be from 0 (all pixels alike) to 1 (all classes alike), got {ratio}: the published '
            'code has 0.2.'
        )


@torch.no_grad()
def pixel_weights(probabilities: Tensor, ratio: float) -> Tensor:
    r"""Weight of each pixel, by how many pixels of its image are predicted as its class.

    .. math:: w_k = \frac{1}{\max(n_k^{r} \, n^{1 - r}, 1)}

    with n_k the pixels predicted as k in the image, n all its pixels.

    Args:
        probabilities (Tensor): ``(B, K, H, W)``.
        ratio (float): r.

    Returns:
        Tensor: ``(B, H, W)``, without gradient.
    """
    classes = probabilities.argmax(1)
    numbers = torch.arange(probabilities.shape[1], device=classes.device).view(1, -1, 1, 1)
    counts = (classes.unsqueeze(1) == numbers).sum((2, 3)).to(probabilities.dtype)
    pixels = classes[0].numel()
    weights = 1 / (counts**ratio * pixels ** (1 - ratio)).clamp_min(1)
    return weights.gather(1, classes.flatten(1)).view_as(classes)


def max_square_loss(probabilities: Tensor, ratio: float = 0.2) -> Tensor:
    r"""L_em: minus the sum of the squared probabilities, frequent classes weighing less.

    .. math:: L_{em} = -\frac{1}{B K} \sum_{i} w_{\hat y_i} \sum_c p_{ic}^2

    The published code adds up wrongly for more than one image (it stops with an error); here it is the mean over the
    images.

    Args:
        probabilities (Tensor): Softmax at the size of the image, ``(B, K, H, W)``.
        ratio (float): r of :func:`pixel_weights`; 0: a plain mean over the pixels. Defaults to 0.2, the published one.

    Returns:
        Tensor: Scalar, negative.

    Raises:
        ValueError: If ``ratio`` is not from 0 to 1.
    """
    check_ratio(ratio)
    squares = probabilities.square().sum(1)
    batch, classes = probabilities.shape[:2]
    return -(pixel_weights(probabilities, ratio) * squares).sum() / (batch * classes)
