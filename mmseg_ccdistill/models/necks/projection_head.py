"""Projection head: features to unit vectors in the common embedding space."""

from __future__ import annotations

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import OptConfigType
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import UserInputError
from ..precision import autocast_off, full_precision

#: Floor of the norm in the l2 normalisation. torch's 1e-12 gives a zero vector a gradient of 1e12.
_NORM_EPS = 1e-6

#: Added to the variance of a standardised channel, and to those of whitened ones.
_VARIANCE_EPS = 1e-5

#: What a position must differ from the mean, relative to its own length, to have a direction: in full
#: precision rounding alone makes 1e-7 to 1e-6 (measured with 256 and 2048 channels); what was computed
#: in half precision must differ by a unit in the last place.
_RESOLUTION = 2**-16

_EMBEDDING_NORMS = (None, 'center', 'standardize', 'whiten')


def whiten(embedding: Tensor, shrinkage: float = 0.01) -> Tensor:
    r"""Give the channels of an embedding unit variance and take their correlation away.

    With the covariance :math:`\Sigma` over batch and positions and its mean variance :math:`\bar\sigma^2`,

    .. math:: \hat x = L^{-1} x, \qquad L L^T = (1 - s) \Sigma + (s \bar\sigma^2 + \epsilon) I

    (L lower triangular). The shrinkage is towards the target of Ledoit & Wolf (2004); without it directions of pure
    noise would count as much as those of content. The statistics carry gradient. Nothing here waits for the device.

    Args:
        embedding (Tensor): Centred, ``(B, C, H, W)``, float32 or float64.
        shrinkage (float): s, in [0, 1]. Defaults to 0.01: docs/studies/calibration.md.

    Returns:
        Tensor: ``(B, C, H, W)``.
    """
    b, c, h, w = embedding.shape
    x = embedding.transpose(0, 1).reshape(c, -1)
    covariance = x @ x.t() / x.shape[1]
    added = shrinkage * covariance.diagonal().mean() + _VARIANCE_EPS
    identity = torch.eye(c, dtype=x.dtype, device=x.device)
    factor, _ = torch.linalg.cholesky_ex((1 - shrinkage) * covariance + added * identity)
    white = torch.linalg.solve_triangular(factor, x, upper=False)
    return white.reshape(c, b, h, w).transpose(0, 1)


@MODELS.register_module()
class ProjectionHead(BaseModule):
    """Two 1x1 convolutions with a ReLU between them, then l2 normalisation over channels.

    The paper: "two 1x1 convolutional layers with ReLU", "mapped to the 256-d l2-normalized vector",
    into a "common embedding space", hence one head for both branches. The hidden width is that of
    ContrastiveSeg (Wang et al., ICCV 2021), which the paper cites; its hidden batch norm is not in
    the paper's text and is off by default.

    ``embedding_norm`` goes beyond the paper. A head free to add one constant vector everywhere
    makes every correlation 1 and teaches nothing; centring takes that vector away. Statistics are
    those of the call (batch and positions of one domain), in training and evaluation alike, and
    carry gradient. With them each domain's own mean (and scale) goes too: what is left to compare
    is how its positions differ. A position that does not differ from the mean by more than rounding
    has no direction: its embedding is zero, with a zero gradient, as that of a zero feature is.
    Stretched to a unit vector, rounding noise would teach, with gradients of up to 1e7.

    Args:
        in_channels (int): Channels of F_D. Defaults to 2048.
        hidden_channels (int, optional): Channels between the convolutions. Defaults to None,
            ``in_channels``.
        out_channels (int): Length of an embedding. Defaults to 256.
        norm_cfg (dict, optional): Norm layer after the first convolution. Defaults to None.
        embedding_norm (str, optional): ``'center'``: subtract each channel's mean over batch and
            positions before the l2 normalisation. ``'standardize'``: also divide by its standard
            deviation. ``'whiten'``: also take the correlation between channels away, see
            :func:`whiten`; a standardised head still uses two or three directions only. Defaults to
            None.
        shrinkage (float): Of ``'whiten'``. Defaults to 0.01.
        init_cfg (dict, optional): Initialisation. Defaults to Kaiming normal weights (fan-in) and
            zero biases.

    Raises:
        UserInputError: On an unknown ``embedding_norm`` or a shrinkage outside [0, 1].
    """

    def __init__(
        self,
        in_channels: int = 2048,
        hidden_channels: int | None = None,
        out_channels: int = 256,
        norm_cfg: OptConfigType = None,
        embedding_norm: str | None = None,
        shrinkage: float = 0.01,
        init_cfg: OptConfigType = None,
    ) -> None:
        if embedding_norm not in _EMBEDDING_NORMS:
            raise UserInputError(
                f'ProjectionHead: embedding_norm must be one of {_EMBEDDING_NORMS}, '
                f'got {embedding_norm!r}.'
            )
        if not 0 <= shrinkage <= 1:
            raise UserInputError(f'ProjectionHead: shrinkage must be in [0, 1], got {shrinkage}.')
        if init_cfg is None:
            init_cfg = dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='relu')
        super().__init__(init_cfg)
        hidden = in_channels if hidden_channels is None else hidden_channels
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.embedding_norm = embedding_norm
        self.shrinkage = shrinkage
        self.conv1 = nn.Conv2d(in_channels, hidden, 1)
        self.norm: nn.Module = (
            nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, hidden)[1]
        )
        self.conv2 = nn.Conv2d(hidden, out_channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """Embeddings of a feature map.

        Args:
            feature (Tensor): F_D, ``(B, in_channels, H, W)``.

        Returns:
            Tensor: ``(B, out_channels, H, W)``, unit vectors over channels (zero where there is no
            direction), in float32 (float64 stays float64) whatever autocast says.
        """
        embedding = self.conv2(F.relu(self.norm(self.conv1(feature)), inplace=True))
        with autocast_off(embedding):
            resolution = max(torch.finfo(embedding.dtype).eps, _RESOLUTION)
            embedding = full_precision(embedding)
            if self.embedding_norm is None:
                return F.normalize(embedding, dim=1, eps=_NORM_EPS)
            with torch.no_grad():
                floor = resolution * torch.linalg.vector_norm(embedding, dim=1, keepdim=True)
            embedding = embedding - embedding.mean(dim=(0, 2, 3), keepdim=True)
            with torch.no_grad():
                differs = torch.linalg.vector_norm(embedding, dim=1, keepdim=True) > floor
            if self.embedding_norm == 'standardize':
                variance = embedding.square().mean(dim=(0, 2, 3), keepdim=True)
                embedding = embedding * torch.rsqrt(variance + _VARIANCE_EPS)
            elif self.embedding_norm == 'whiten':
                embedding = whiten(embedding, self.shrinkage)
            embedding = F.normalize(embedding, dim=1, eps=_NORM_EPS)
            return torch.where(differs, embedding, torch.zeros_like(embedding))
