r"""L_light of DANNet (Wu et al., CVPR 2021): relit images are smooth changes of one common brightness.

.. math:: L_{light} = 10\,TV(r) + \overline{SSIM_{dist}}(x', x) + EXP(x', E)

with r the change of light, :math:`x' = x + r`, and E the mean of the night batch. Constants are those of the released
code.
"""

from __future__ import annotations

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ..precision import autocast_off, full_precision

#: Constants of SSIM (Wang et al., 2004) for values in [0, 1]: 0.01² and 0.03². The released code uses them on
#: normalised images.
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def total_variation(change: Tensor) -> Tensor:
    r"""Squared differences of neighbours.

    .. math:: TV(r) = \frac{2}{B} \Big[ \frac{\sum (r_{h+1} - r_h)^2}{(H-1) W}
        + \frac{\sum (r_{w+1} - r_w)^2}{H (W-1)} \Big]

    Sums go over batch, channels and positions: channels add up.

    Args:
        change (Tensor): r, ``(B, C, H, W)``.

    Returns:
        Tensor: Scalar.
    """
    batch, _, height, width = change.shape
    vertical = (change[:, :, 1:] - change[:, :, :-1]).square().sum() / ((height - 1) * width)
    horizontal = (change[..., 1:] - change[..., :-1]).square().sum() / (height * (width - 1))
    return 2 * (vertical + horizontal) / batch


def ssim_distance(a: Tensor, b: Tensor) -> Tensor:
    """``clamp((1 - SSIM) / 2, 0, 1)`` from means and biased variances over 3 x 3 windows, borders reflected.

    Args:
        a (Tensor): ``(B, C, H, W)``.
        b (Tensor): ``(B, C, H, W)``.

    Returns:
        Tensor: ``(B, C, H, W)``.
    """

    def window_mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 3, 1)

    a, b = (F.pad(x, (1, 1, 1, 1), mode='reflect') for x in (a, b))
    mean_a, mean_b = window_mean(a), window_mean(b)
    variance_a = window_mean(a * a) - mean_a * mean_a
    variance_b = window_mean(b * b) - mean_b * mean_b
    covariance = window_mean(a * b) - mean_a * mean_b
    numerator = (2 * mean_a * mean_b + _SSIM_C1) * (2 * covariance + _SSIM_C2)
    denominator = (mean_a.square() + mean_b.square() + _SSIM_C1) * (
        variance_a + variance_b + _SSIM_C2
    )
    return ((1 - numerator / denominator) / 2).clamp(0, 1)


def exposure_loss(relit: Tensor, level: Tensor, patch_size: int = 32) -> Tensor:
    """Squared distance of the mean over channels of each patch to one level; a remainder at the borders is dropped.

    Args:
        relit (Tensor): x', ``(B, C, H, W)``, sides of at least ``patch_size``.
        level (Tensor): E, scalar.
        patch_size (int): Side of a patch. Defaults to 32.

    Returns:
        Tensor: Scalar.
    """
    return (F.avg_pool2d(relit.mean(1, keepdim=True), patch_size) - level).square().mean()


def light_loss(images: Tensor, change: Tensor, level: Tensor, tv_weight: float = 10.0) -> Tensor:
    """L_light of one domain, in float32 (float64 stays float64) whatever autocast says.

    Half precision would lose the variances of SSIM, which are differences of close numbers.

    Args:
        images (Tensor): x, normalised, ``(B, 3, H, W)``.
        change (Tensor): r = G(x), ``(B, 3, H, W)``.
        level (Tensor): E, the mean of the normalised night batch over all its values, a constant.
        tv_weight (float): Defaults to 10.

    Returns:
        Tensor: Scalar.
    """
    with autocast_off(images):
        x, r = full_precision(images), full_precision(change)
        relit = x + r
        return (
            tv_weight * total_variation(r)
            + ssim_distance(relit, x).mean()
            + exposure_loss(relit, full_precision(level.detach()))
        )


@MODELS.register_module()
class LightLoss(nn.Module):
    """L_light of the domains, each with its weight.

    The released code weighs the target's days and nights by 0.01 and the source by 1, which makes the gradient of the
    relighting network some 36 times larger than 0.01 throughout would.

    Args:
        target_weight (float): Of T_d and T_n. Defaults to 0.01.
        source_weight (float): Of S_d. Defaults to 1.0.

    Raises:
        ValueError: On a negative weight.
    """

    def __init__(self, target_weight: float = 0.01, source_weight: float = 1.0) -> None:
        super().__init__()
        if min(target_weight, source_weight) < 0:
            raise ValueError(
                f'LightLoss: weights must not be negative, got {target_weight} and {source_weight}.'
            )
        self.target_weight = target_weight
        self.source_weight = source_weight

    def forward(self, domain: str, images: Tensor, change: Tensor, level: Tensor) -> Tensor:
        """The weighted loss of a domain.

        Args:
            domain (str): Its name; those that begin with ``source`` have the source's weight.
            images (Tensor): x, ``(B, 3, H, W)``.
            change (Tensor): r, ``(B, 3, H, W)``.
            level (Tensor): E, scalar.

        Returns:
            Tensor: Scalar.
        """
        weight = self.source_weight if domain.startswith('source') else self.target_weight
        return weight * light_loss(images, change, level)


def night_level(night_images: Tensor) -> Tensor:
    """E: the mean over all values of the normalised night batch, without gradient.

    With several processes it is that of each process, so the number of images per process is part of the method.

    Args:
        night_images (Tensor): T_n, ``(B, 3, H, W)``.

    Returns:
        Tensor: Scalar.
    """
    with torch.no_grad():
        return full_precision(night_images).mean()
