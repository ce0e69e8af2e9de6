"""Style correlation distillation, L_CDS (Eqs. 5-7 of the paper)."""

from __future__ import annotations

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...domains import DomainTensors
from ...errors import UserInputError
from ..precision import autocast_off, full_precision

#: Sizes of the matrices that a Gram cosine may be computed with, see :func:`gram_cosine`.
GRAM_FORMS = ('auto', 'channel', 'position')


def gram_cosine(f_a: Tensor, f_b: Tensor, form: str = 'auto') -> Tensor:
    r"""Cosine of the Gram matrices of two feature maps, per sample.

    With F the map as a C x N matrix, :math:`G = F F^T` (Eq. 5) and the result is
    :math:`\langle G_a, G_b \rangle_F / (\|G_a\|_F \|G_b\|_F)` (Eq. 6). Where N < C the same number
    comes from N x N matrices, :math:`\|A^T B\|_F^2 / (\|A^T A\|_F \|B^T B\|_F)`: a 16 x 16 grid of
    2048 channels needs an eighth of the arithmetic and no 2048 x 2048 matrix.

    Computed in float32 (float64 stays float64) whatever autocast says: a Gram matrix overflows or
    underflows float16. A zero feature has cosine 0 and a zero gradient.

    Args:
        f_a (Tensor): ``(B, C, H, W)``, the feature itself (not the embedding).
        f_b (Tensor): ``(B, C, H', W')``.
        form (str): ``'channel'``: C x C matrices, the equation to the letter. ``'position'``: N x N
            matrices. ``'auto'``: the smaller. The value is the same. Defaults to ``'auto'``.

    Returns:
        Tensor: ``(B,)``, between 0 and 1.

    Raises:
        ValueError: If batch or channels differ, or ``form`` is unknown.
    """
    if form not in GRAM_FORMS:
        raise ValueError(f'form must be one of {GRAM_FORMS}, got {form!r}.')
    if f_a.shape[:2] != f_b.shape[:2]:
        raise UserInputError(
            'gram_cosine needs equal batch and channels, '
            f'got {tuple(f_a.shape)} and {tuple(f_b.shape)}.'
        )
    with autocast_off(f_a):
        a, b = full_precision(f_a).flatten(2), full_precision(f_b).flatten(2)
        smaller = 'position' if max(a.shape[2], b.shape[2]) < a.shape[1] else 'channel'
        by_position = (smaller if form == 'auto' else form) == 'position'
        left_a, left_b = (a.transpose(1, 2), b.transpose(1, 2)) if by_position else (a, b)
        inner_a, inner_b = _self_product(left_a), _self_product(left_b)
        scale_a, scale_b = _trace(inner_a), _trace(inner_b)
        if by_position:
            cross = left_a @ b
            inner = ((cross / scale_a) * (cross / scale_b)).sum((1, 2))
        else:
            inner = ((inner_a / scale_a) * (inner_b / scale_b)).sum((1, 2))
        norm_a = _frobenius_norm(inner_a / scale_a)
        norm_b = _frobenius_norm(inner_b / scale_b)
        # A norm over its trace is at least 1 / sqrt(rank): only a zero feature meets the floor.
        return inner / (norm_a * norm_b).clamp_min(torch.finfo(inner.dtype).eps)


def _self_product(matrix: Tensor) -> Tensor:
    """``M M^T`` per sample, with one matrix product in its backward pass instead of two.

    Both factors contribute the same to the gradient if what arrives is symmetric, as the gradient
    of a Frobenius norm or of an inner product with a symmetric matrix is. So one factor is a
    constant and the gradient of the other counts twice.
    """
    product = matrix.detach() @ matrix.transpose(1, 2)
    return 2 * product - product.detach()


def _frobenius_norm(matrix: Tensor) -> Tensor:
    """Frobenius norm ``(B,)``, rows first.

    In one go the 4 million squares of a 2048 x 2048 matrix end up in a single float32 sum, which is
    off by 1e-4 on a CPU.
    """
    return torch.linalg.vector_norm(torch.linalg.vector_norm(matrix, dim=2), dim=1)


def _trace(matrix: Tensor) -> Tensor:
    """Trace ``(B, 1, 1)`` as a constant, 1 for a zero matrix.

    The cosine is invariant to the scale of either matrix, so no gradient is lost.
    """
    trace = matrix.detach().diagonal(dim1=1, dim2=2).sum(1)
    trace = torch.where(trace > torch.finfo(trace.dtype).tiny, trace, torch.ones_like(trace))
    return trace.view(-1, 1, 1)


@MODELS.register_module()
class CDSLoss(nn.Module):
    r"""Style-invariance correlation distillation.

    .. math:: L_{CDS} = \|Cor_G^S - Cor_G^T\|^2, \quad Cor_G^k = \cos(G^k_d, G^k_n)

    The squared difference of the scalar of each sample, averaged over the batch. Features after a
    ReLU have cosines near 1, so values of 1e-4 to 1e-2 are what to expect. The paper names no guide
    for this term.

    Features in bfloat16 are compared in float32. Their rounding moves a cosine by 3e-6, because the
    errors of single values average out, so it costs a loss of 5e-5 less than 1 %. What else a mixed
    precision changes is in the features: the layers of a ResNet-50 in bfloat16 moved them by 1.5 %
    and the cosines by 6e-4 (random weights, street images of 256 x 256). The loss is the square of
    a difference of cosines, 7e-3 where it is 5e-5, so such features may as well say 4e-5 or 6e-5,
    and below 1e-6 nothing. No arithmetic behind the network restores that: to watch a small L_CDS,
    compute the features in float32.

    Args:
        loss_weight (float): λ2. Defaults to 1.0.
        detach (str, optional): ``'source'`` or ``'target'``: the side whose correlation is a
            constant guide. None: both sides get gradient. Defaults to None.
        gram_form (str): ``form`` of :func:`gram_cosine`. Defaults to ``'auto'``.

    Raises:
        ValueError: If ``loss_weight`` is not positive, or ``detach`` or ``gram_form`` is unknown.
    """

    def __init__(
        self, loss_weight: float = 1.0, detach: str | None = None, gram_form: str = 'auto'
    ) -> None:
        super().__init__()
        if loss_weight <= 0:
            raise UserInputError(
                f'CDSLoss: loss_weight must be positive, got {loss_weight}; '
                'set loss_cds=None to turn the loss off.'
            )
        if detach not in (None, 'source', 'target'):
            raise UserInputError(
                f"CDSLoss: detach must be None, 'source' or 'target', got {detach!r}."
            )
        if gram_form not in GRAM_FORMS:
            raise UserInputError(
                f'CDSLoss: gram_form must be one of {GRAM_FORMS}, got {gram_form!r}.'
            )
        self.loss_weight = loss_weight
        self.detach = detach
        self.gram_form = gram_form

    def forward(self, features: DomainTensors) -> dict[str, Tensor]:
        """The weighted loss.

        Args:
            features (dict[str, Tensor]): F_D of the four domains, ``(B, C, h, w)`` each.

        Returns:
            dict[str, Tensor]: Scalar ``loss_cds``.
        """
        correlations = self.gram_correlations(features)
        with autocast_off(correlations['source']):
            source, target = self._guided(correlations)
            return {'loss_cds': self.loss_weight * (source - target).square().mean()}

    def gram_correlations(self, features: DomainTensors) -> DomainTensors:
        """Cor_G of Eq. 6.

        Args:
            features (dict[str, Tensor]): F_D of the four domains, ``(B, C, h, w)`` each.

        Returns:
            dict[str, Tensor]: ``source`` and ``target``, ``(B,)`` each.
        """
        return {
            world: gram_cosine(features[f'{world}_day'], features[f'{world}_night'], self.gram_form)
            for world in ('source', 'target')
        }

    def _guided(self, correlations: DomainTensors) -> tuple[Tensor, Tensor]:
        """Both correlations, the guide detached."""
        source, target = correlations['source'], correlations['target']
        if self.detach == 'source':
            source = source.detach()
        elif self.detach == 'target':
            target = target.detach()
        return source, target
