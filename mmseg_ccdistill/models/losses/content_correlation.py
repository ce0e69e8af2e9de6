"""Content correlation distillation, L_CDC (Eqs. 1-4 of the paper)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from ...domains import DOMAINS, DomainTensors
from ...errors import UserInputError
from ..precision import autocast_off, full_precision
from .js_divergence import js_of_log_distributions, log_distribution

#: The four Cor maps and the two domains each one compares. Illumination: day and night of one
#: content. Inherent: source and target under one light.
COR_PAIRS: dict[str, tuple[str, str]] = {
    'illu_source': ('source_day', 'source_night'),
    'illu_target': ('target_day', 'target_night'),
    'in_day': ('source_day', 'target_day'),
    'in_night': ('source_night', 'target_night'),
}

#: Smallest norm a vector is divided by, so that a zero vector has cosine 0 and a finite gradient.
_EPS = 1e-6


def cosine_map(e_a: Tensor, e_b: Tensor) -> Tensor:
    r"""Cosine of two embedding maps at every position, :math:`Cor = x^T y / (\|x\| \, \|y\|)`.

    Computed in float32 (float64 stays float64) whatever autocast says. A zero vector has cosine 0.

    Args:
        e_a (Tensor): ``(B, C, H, W)``; unit vectors in CCDistill, of any length here.
        e_b (Tensor): ``(B, C, H, W)``.

    Returns:
        Tensor: ``(B, H, W)``, between -1 and 1.

    Raises:
        UserInputError: If the shapes differ.
    """
    if e_a.shape != e_b.shape:
        raise UserInputError(
            f'cosine_map compares maps of one shape, got {tuple(e_a.shape)} and {tuple(e_b.shape)}.'
        )
    with autocast_off(e_a):
        x, y = full_precision(e_a), full_precision(e_b)
        x_norm = torch.linalg.vector_norm(x, dim=1).clamp_min(_EPS)
        y_norm = torch.linalg.vector_norm(y, dim=1).clamp_min(_EPS)
        return (x * y).sum(dim=1) / (x_norm * y_norm)


def correlation_maps(embeddings: DomainTensors, pool: int = 1) -> DomainTensors:
    """The four Cor maps of Eqs. 2 and 3.

    Args:
        embeddings (dict[str, Tensor]): e of the four domains, ``(B, C, h, w)`` each.
        pool (int): Embeddings are averaged over patches of pool x pool positions first. Defaults to
            1.

    Returns:
        dict[str, Tensor]: ``illu_source``, ``illu_target``, ``in_day``, ``in_night``, each
        ``(B, ceil(h / pool), ceil(w / pool))``.

    Raises:
        UserInputError: If a domain is missing or the shapes differ.
    """
    _check_embeddings(embeddings)
    pooled = _pool(embeddings, pool)
    return {name: _cor(name, pooled) for name in COR_PAIRS}


def match_parallax(e_day: Tensor, e_night: Tensor, radius: int) -> Tensor:
    r"""The day embedding that each night position sees, up to a shift.

    The two images of a pair are taken from different places, so one thing lies at different
    positions. For each position p,

    .. math:: \hat e_d(p) = e_d(q^*), \qquad
        q^* = \operatorname{argmax}_{q \,:\, \|q - p\|_\infty \le r} \cos(e_d(q), e_n(p))

    The choice of q is a constant; :math:`\hat e_d` carries the gradient of the positions that were
    chosen. A tie goes to p itself.

    Args:
        e_day (Tensor): Unit vectors ``(B, C, H, W)``.
        e_night (Tensor): Unit vectors ``(B, C, H, W)``.
        radius (int): r, in positions. 0 returns ``e_day``.

    Returns:
        Tensor: ``(B, C, H, W)``.
    """
    if radius == 0:
        return e_day
    _, channels, height, width = e_day.shape
    with torch.no_grad():
        day, night = full_precision(e_day), full_precision(e_night)
        rows = torch.arange(height, device=day.device)
        columns = torch.arange(width, device=day.device)
        best = (day * night).sum(1)
        chosen = (rows[:, None] * width + columns).expand_as(best)
        around = range(-radius, radius + 1)
        for dy, dx in itertools.product(around, around):
            y, x = (rows + dy).clamp(0, height - 1), (columns + dx).clamp(0, width - 1)
            cosine = (day[:, :, y[:, None], x] * night).sum(1)
            chosen = torch.where(cosine > best, y[:, None] * width + x, chosen)
            best = torch.maximum(best, cosine)
    picked = chosen.flatten(1)[:, None].expand(-1, channels, -1)
    return e_day.flatten(2).gather(2, picked).view_as(e_day)


@MODELS.register_module()
class CDCLoss(nn.Module):
    r"""Content-invariance correlation distillation.

    .. math::
        L_{CDC} &= L_{JS} + \|Cor_{illu}^S - Cor_{illu}^T\|^2 + \|Cor_{in}^d - Cor_{in}^n\|^2 \\
        L_{JS} &= \lambda [JS(S_d, S_n) + JS(T_d, T_n)] - \rho [JS(S_d, T_d) + JS(S_n, T_n)]

    Eq. 1 prints :math:`\rho = 1`. L_JS may be negative and is left so. Where the paper is silent:
    distributions are a softmax over channels; the squares are averaged over positions and batch
    (the literal sum is 256 times as large on a 16 x 16 grid and would swamp the cross-entropy); the
    guides of Eqs. 2-3, Cor_illu_S and Cor_in_d, get no gradient from the squares. L_JS is
    ``js_positions`` times its mean over positions and batch: 256 is the literal sum at a 512 crop
    and stride 32, and does not change with crop, stride or backbone. A mean alone would be a no-op
    (see :func:`js_divergence`).

    Computed in float32 (float64 stays float64) whatever autocast says.

    Args:
        loss_weight (float): λ1, weight of all three terms. Defaults to 2.0.
        attraction_weight (float): λ of Eq. 1, on the pairs that share their content. Defaults to
            4.0.
        repulsion_weight (float): Factor on the pairs of different content, which Eq. 1 prints
            without one. The sentence below the equation has λ control "the effect of reverse JS":
            attraction 1 and repulsion 4 are that reading. Defaults to 1.0.
        js_weight (float): Weight of L_JS. 0 turns it off. Defaults to 1.0.
        illumination_weight (float): Weight of the illumination term. 0 turns it off. Defaults to
            1.0.
        inherent_weight (float): Weight of the inherent term. 0 turns it off. Defaults to 1.0.
        js_tau (float): Temperature of the softmax. Defaults to 1.0.
        js_positions (float, optional): Factor on the mean JS divergence; None: the literal sum over
            positions, which grows with the grid. Defaults to 256.
        cor_reduction (str): ``'mean'`` or ``'sum'`` (over positions, mean over the batch). Defaults
            to ``'mean'``.
        cor_pool (int): Side in positions of the patches that are compared. Defaults to 1.
        detach_guide (bool): Whether the guides are constants. Defaults to True.
        parallax (int): Radius in positions in which T_d is moved to its best match with T_n
            (:func:`match_parallax`) before anything is compared with it, S_d included: what a place
            of T_n relates to is one place of T_d in all terms. The best of several raises
            Cor_illu_T. Not in the paper; it does what the 3 x 3 neighbourhood does for the static
            loss. Defaults to 0.

    Raises:
        UserInputError: On a negative weight or radius, or if nothing is left of the loss (``loss_cdc=None`` turns
            it off).
    """

    def __init__(
        self,
        loss_weight: float = 2.0,
        attraction_weight: float = 4.0,
        repulsion_weight: float = 1.0,
        js_weight: float = 1.0,
        illumination_weight: float = 1.0,
        inherent_weight: float = 1.0,
        js_tau: float = 1.0,
        js_positions: float | None = 256,
        cor_reduction: str = 'mean',
        cor_pool: int = 1,
        detach_guide: bool = True,
        parallax: int = 0,
    ) -> None:
        super().__init__()
        weights = dict(
            loss_weight=loss_weight,
            attraction_weight=attraction_weight,
            repulsion_weight=repulsion_weight,
            js_weight=js_weight,
            illumination_weight=illumination_weight,
            inherent_weight=inherent_weight,
            parallax=parallax,
        )
        negative = [name for name, value in weights.items() if value < 0]
        if negative:
            raise UserInputError(f'CDCLoss: {negative} must not be negative.')
        if loss_weight == 0 or js_weight == illumination_weight == inherent_weight == 0:
            raise UserInputError(
                'CDCLoss: every term has weight 0; set loss_cdc=None to turn the loss off.'
            )
        if js_tau <= 0 or (js_positions is not None and js_positions <= 0):
            raise UserInputError(
                'CDCLoss: js_tau and js_positions must be positive, '
                f'got {js_tau} and {js_positions}.'
            )
        if cor_reduction not in ('mean', 'sum'):
            raise UserInputError(
                f"CDCLoss: cor_reduction must be 'mean' or 'sum', got {cor_reduction!r}."
            )
        if not isinstance(parallax, int):
            raise UserInputError(
                f'CDCLoss: parallax counts positions, expected an int, got {parallax}.'
            )
        if cor_pool < 1:
            raise UserInputError(f'CDCLoss: cor_pool must be at least 1, got {cor_pool}.')
        self.loss_weight = loss_weight
        self.attraction_weight = attraction_weight
        self.repulsion_weight = repulsion_weight
        self.js_weight = js_weight
        self.illumination_weight = illumination_weight
        self.inherent_weight = inherent_weight
        self.js_tau = js_tau
        self.js_positions = js_positions
        self.cor_reduction = cor_reduction
        self.cor_pool = cor_pool
        self.detach_guide = detach_guide
        self.parallax = parallax

    @property
    def taught_domains(self) -> set[str]:
        """Domains whose embeddings get gradient: a guide that is a constant gets none."""
        pairs: list[str] = []
        if self.js_weight:
            pairs += COR_PAIRS
        if self.illumination_weight:
            pairs += ['illu_target'] if self.detach_guide else ['illu_source', 'illu_target']
        if self.inherent_weight:
            pairs += ['in_night'] if self.detach_guide else ['in_day', 'in_night']
        return {domain for pair in pairs for domain in COR_PAIRS[pair]}

    def forward(self, embeddings: DomainTensors) -> dict[str, Tensor]:
        """The weighted terms.

        Args:
            embeddings (dict[str, Tensor]): e_D of the four domains, unit vectors ``(B, C, h, w)``
                on one grid.

        Returns:
            dict[str, Tensor]: Scalars ``loss_cdc_js``, ``loss_cdc_illu``, ``loss_cdc_in``; a term
            of weight 0 has no key and costs nothing.

        Raises:
            UserInputError: If a domain is missing or the shapes differ.
        """
        _check_embeddings(embeddings)
        terms: dict[str, Tensor] = {}
        with autocast_off(embeddings['source_day']):
            if self.parallax:
                day, night = embeddings['target_day'], embeddings['target_night']
                embeddings = {
                    **embeddings, 'target_day': match_parallax(day, night, self.parallax)
                }  # fmt: skip
            if self.js_weight:
                terms['loss_cdc_js'] = self.loss_weight * self.js_weight * self._js(embeddings)
            pooled = _pool(embeddings, self.cor_pool)
            for key, weight, guide, guided in (
                ('loss_cdc_illu', self.illumination_weight, 'illu_source', 'illu_target'),
                ('loss_cdc_in', self.inherent_weight, 'in_day', 'in_night'),
            ):
                if weight:
                    guide_map = _cor(guide, pooled)
                    if self.detach_guide:
                        guide_map = guide_map.detach()
                    square = (guide_map - _cor(guided, pooled)).square()
                    value = (
                        square.mean()
                        if self.cor_reduction == 'mean'
                        else square.sum() / square.shape[0]
                    )
                    terms[key] = self.loss_weight * weight * value
        return terms

    def _js(self, embeddings: DomainTensors) -> Tensor:
        """L_JS of Eq. 1: attraction within a content, repulsion between source and target."""
        logs = {
            domain: log_distribution(full_precision(embeddings[domain]), self.js_tau)
            for domain in DOMAINS
        }
        js = {name: js_of_log_distributions(logs[a], logs[b]) for name, (a, b) in COR_PAIRS.items()}
        positions = js['in_day'][0].numel() if self.js_positions is None else self.js_positions
        attraction = js['illu_source'].mean() + js['illu_target'].mean()
        repulsion = js['in_day'].mean() + js['in_night'].mean()
        return positions * (self.attraction_weight * attraction - self.repulsion_weight * repulsion)


def _cor(name: str, embeddings: DomainTensors) -> Tensor:
    """One Cor map."""
    a, b = COR_PAIRS[name]
    return cosine_map(embeddings[a], embeddings[b])


def _pool(embeddings: DomainTensors, size: int) -> DomainTensors:
    """Embeddings averaged over patches of size x size positions, fewer at the far borders."""
    if size == 1:
        return embeddings
    return {
        domain: F.avg_pool2d(full_precision(e), size, ceil_mode=True)
        for domain, e in embeddings.items()
    }


def _check_embeddings(embeddings: Mapping[str, Tensor]) -> None:
    """All four domains, on one grid."""
    missing = [domain for domain in DOMAINS if domain not in embeddings]
    if missing:
        raise UserInputError(
            f'content correlation needs the four domains {DOMAINS}, {missing} missing.'
        )
    shapes = {domain: tuple(embeddings[domain].shape) for domain in DOMAINS}
    if len(set(shapes.values())) > 1:
        raise UserInputError(
            'content correlation compares source and target position by position, so the four '
            f'embeddings must have one shape, got {shapes}: crop source and target to the same '
            'size and batch.'
        )
