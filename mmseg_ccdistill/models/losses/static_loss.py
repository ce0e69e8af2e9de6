"""Pseudo labels of static classes and the loss on them, L_pseudo."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from ...errors import UserInputError
from ..precision import autocast_off, full_precision
from .class_weights import CITYSCAPES_CLASSES, ClassWeight, resolve_class_weight
from .static_classes import STATIC_CLASSES, static_class_ids
from .strongest_class import strongest_class

#: Bounds of the weighted probability: eps and 1 - eps, as in DANNet.
_EPS = 1e-7


@torch.no_grad()
def static_pseudo_labels(
    day_logits: Tensor,
    class_weight: Tensor | Sequence[float] | None,
    static_classes: Sequence[int] = range(11),
    *,
    night_logits: Tensor | None = None,
    blend: tuple[float, float, float] | None = None,
    reweight: str = 'prob',
    ignore_index: int = 255,
) -> Tensor:
    """Pseudo labels of the static classes from the day image of a pair.

    The paper: "the predictions of static object categories for the daytime images T_d as the pseudo
    labels". The class with the largest re-weighted score wins among all K classes; where it is not
    static the pixel is ignored.

    Args:
        day_logits (Tensor): M_d(T_d), ``(B, K, H, W)``.
        class_weight (Tensor | Sequence[float], optional): ``(K,)``, positive. None: no
            re-weighting.
        static_classes (Sequence[int]): Classes that stay in place between day and night. Defaults
            to ``range(11)``, road to sky in Cityscapes' trainIds.
        night_logits (Tensor, optional): M_n(T_n), same shape; read only with ``blend``. Defaults to
            None.
        blend (tuple, optional): ``(high, low, threshold)``: scores of static classes become a day +
            (1 - a) night, a = high where the day logit exceeds the threshold, else low; other
            classes take the night logit. DANNet has (0.8, 0.2, 0.4). Defaults to None, day alone,
            as the paper says.
        reweight (str): ``'prob'``: weights multiply the softmax. ``'logits'``: they multiply the
            logits, as in DANNet, which pushes a heavy class down where its logit is negative.
            Defaults to ``'prob'``.
        ignore_index (int): Value of pixels without a label. Defaults to 255.

    Returns:
        Tensor: ``(B, H, W)`` int64, without gradient.

    Raises:
        ValueError: On an unknown ``reweight``, a wrong number of weights, or ``blend`` without
            ``night_logits``.
    """
    if reweight not in ('prob', 'logits'):
        raise ValueError(f"reweight must be 'prob' or 'logits', got {reweight!r}.")
    if blend is not None and night_logits is None:
        raise ValueError('blend mixes the scores of day and night: give night_logits too.')
    with autocast_off(day_logits):
        scores = full_precision(day_logits)
        if blend is not None and night_logits is not None:
            scores = _blend(scores, full_precision(night_logits), static_classes, blend)
        log_weight: Tensor | None = None
        if class_weight is not None:
            weight = _weight_like(class_weight, scores).view(1, -1, 1, 1)
            if reweight == 'prob':
                log_weight = weight.log()
            else:
                scores = scores * weight
        labels = strongest_class(scores, log_weight)
        return labels.masked_fill(~_is_static(labels, static_classes), ignore_index)


def static_loss(
    night_logits: Tensor,
    pseudo_labels: Tensor,
    class_weight: Tensor | Sequence[float] | None,
    gamma: float = 1.0,
    neighborhood: bool = True,
    static_classes: Sequence[int] = range(11),
    ignore_index: int = 255,
) -> Tensor:
    r"""Static loss of DANNet (Wu et al., CVPR 2021), which the paper uses as L_pseudo.

    With p the softmax over the static classes alone (no dynamic class competes) and U_c whether class c
    occurs among the valid pseudo labels of the pixel's 3 x 3 neighbourhood (day and
    night views do not match to the pixel),

    .. math:: q = \max_c \; w_c \, p_c \, U_c, \qquad
        L = -\frac{1}{|V|} \sum_{V} (1 - q)^\gamma \ln q

    with q clamped to [1e-7, 1 - 1e-7] and V the pixels whose own label is valid. Computed from
    log-probabilities. A weight above 1 makes a dead zone: for p > 1/w the loss is 0, and so is its
    gradient.

    Args:
        night_logits (Tensor): M_n(T_n), ``(B, K, H, W)``.
        pseudo_labels (Tensor): ``(B, H, W)`` int64 class indices; not modified.
        class_weight (Tensor | Sequence[float], optional): ``(K,)``, positive. None: no weights.
        gamma (float): Focusing exponent, >= 0. Defaults to 1.0.
        neighborhood (bool): Whether U is the neighbourhood's union; False: the pixel's own label,
            which is what DANNet's released code amounts to. Defaults to True.
        static_classes (Sequence[int]): Classes that may be a label. Labels of other classes count as
            ignored. Defaults to ``range(11)``.
        ignore_index (int): Value of pixels without a label. Defaults to 255.

    Returns:
        Tensor: Scalar in float32 (float64 stays float64). No valid pixel: 0, with a zero gradient.

    Raises:
        ValueError: If the sizes of logits and labels differ, or the number of weights is wrong.
    """
    if night_logits.shape[2:] != pseudo_labels.shape[1:]:
        raise ValueError(
            f'logits of {tuple(night_logits.shape[2:])} and pseudo labels of '
            f'{tuple(pseudo_labels.shape[1:])}: upsample the logits to the labels first.'
        )
    with autocast_off(night_logits):
        log_prob = full_precision(_select(night_logits, static_classes)).log_softmax(dim=1)
        log_weight: Tensor | None = None
        if class_weight is not None:
            weight = _weight_like(class_weight, night_logits)
            log_weight = _select(weight.view(1, -1, 1, 1), static_classes).to(log_prob.dtype).log()
        with torch.no_grad():
            valid = _is_static(pseudo_labels, static_classes) & (pseudo_labels != ignore_index)
            one_hot = _one_hot(pseudo_labels.masked_fill(~valid, -1), static_classes)
            allowed = _dilate(one_hot) if neighborhood else one_hot
            winner = strongest_class(log_prob, log_weight, allowed)
        # ln q = ln p + ln w of the winner; ln w is a constant of the gradient.
        log_q = log_prob.gather(1, winner.unsqueeze(1)).squeeze(1)
        if log_weight is not None:
            log_q = log_q + log_weight.take(winner)
        log_q = log_q.clamp(math.log(_EPS), math.log1p(-_EPS))
        loss = -log_q
        if gamma == 1:
            loss = loss * -torch.expm1(log_q)
        elif gamma != 0:
            loss = loss * (-torch.expm1(log_q)).pow(gamma)
        return torch.where(valid, loss, torch.zeros_like(loss)).sum() / valid.sum().clamp_min(1)


@MODELS.register_module()
class StaticLoss(nn.Module):
    """L_pseudo: pseudo labels of static classes from M_d on T_d, static loss of M_n on T_n.

    See :func:`static_pseudo_labels` and :func:`static_loss`. One set of class weights serves both,
    as in DANNet.

    Args:
        loss_weight (float): Weight of the loss. Defaults to 1.0.
        class_weight (str | Sequence[float], optional): ``'balanced'``, a list of ``num_classes``
            weights, or None for equal weights. Defaults to ``'balanced'``:
            :func:`class_balance_weights` of Cityscapes' frequencies, found by the names of the
            classes.
        gamma (float): Focusing exponent. Defaults to 1.0.
        neighborhood (bool): Whether labels of the 3 x 3 neighbourhood count. Defaults to True.
        static_classes (Sequence[str] | Sequence[int]): Static classes, by name or by id. Defaults to
            :data:`STATIC_CLASSES`.
        blend (Sequence[float], optional): ``(high, low, threshold)``, see
            :func:`static_pseudo_labels`. Defaults to None.
        reweight (str): ``'prob'`` or ``'logits'``. Defaults to ``'prob'``.
        num_classes (int): Number of classes K where ``classes`` is None. Defaults to 19.
        ignore_index (int): Value of pixels without a label. Defaults to 255.
        classes (Sequence[str], optional): Names of the classes in the order of their ids; a check at
            the start compares them with the data. Defaults to None, the 19 of Cityscapes.

    Raises:
        ValueError: On a weight or exponent out of range, static classes that do not exist, a wrong
            number of class weights, or an unknown ``reweight``.
    """

    class_weight: Tensor | None

    def __init__(
        self,
        loss_weight: float = 1.0,
        class_weight: ClassWeight = 'balanced',
        gamma: float = 1.0,
        neighborhood: bool = True,
        static_classes: Sequence[str] | Sequence[int] = STATIC_CLASSES,
        blend: Sequence[float] | None = None,
        reweight: str = 'prob',
        num_classes: int = 19,
        ignore_index: int = 255,
        classes: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if loss_weight <= 0:
            raise UserInputError(
                f'StaticLoss: loss_weight must be positive, got {loss_weight}; '
                'set loss_pseudo=None to turn the loss off.'
            )
        if gamma < 0:
            raise UserInputError(f'StaticLoss: gamma must not be negative, got {gamma}.')
        if classes is not None:
            num_classes = len(classes)
        elif num_classes == len(CITYSCAPES_CLASSES):
            classes = CITYSCAPES_CLASSES
        static_ids = static_class_ids(static_classes, num_classes, classes)
        if reweight not in ('prob', 'logits'):
            raise UserInputError(
                f"StaticLoss: reweight must be 'prob' or 'logits', got {reweight!r}."
            )
        if blend is not None and len(blend) != 3:
            raise UserInputError(f'StaticLoss: blend is (high, low, threshold), got {blend}.')
        self.loss_weight = loss_weight
        self.gamma = gamma
        self.neighborhood = neighborhood
        self.static_classes = static_ids
        self.blend = None if blend is None else (float(blend[0]), float(blend[1]), float(blend[2]))
        self.reweight = reweight
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        # Not persistent: a checkpoint of the model holds nothing of its losses.
        weight = resolve_class_weight(class_weight, num_classes, classes or CITYSCAPES_CLASSES)
        self.register_buffer('class_weight', weight, persistent=False)

    def pseudo_labels(self, day_logits: Tensor, night_logits: Tensor | None = None) -> Tensor:
        """Pseudo labels, see :func:`static_pseudo_labels`.

        Args:
            day_logits (Tensor): M_d(T_d), ``(B, K, H, W)``.
            night_logits (Tensor, optional): M_n(T_n), read only with ``blend``. Defaults to None.

        Returns:
            Tensor: ``(B, H, W)`` int64, without gradient.
        """
        return static_pseudo_labels(
            day_logits,
            self.class_weight,
            self.static_classes,
            night_logits=night_logits,
            blend=self.blend,
            reweight=self.reweight,
            ignore_index=self.ignore_index,
        )

    def forward(self, night_logits: Tensor, pseudo_labels: Tensor) -> Tensor:
        """The weighted loss, see :func:`static_loss`.

        Args:
            night_logits (Tensor): M_n(T_n), ``(B, K, H, W)``.
            pseudo_labels (Tensor): ``(B, H, W)`` int64.

        Returns:
            Tensor: Scalar.
        """
        return self.loss_weight * static_loss(
            night_logits,
            pseudo_labels,
            self.class_weight,
            self.gamma,
            self.neighborhood,
            self.static_classes,
            self.ignore_index,
        )


def _runs(classes: Sequence[int]) -> list[tuple[int, int]]:
    """Class indices as sorted runs [start, stop), so that no index list goes to the device."""
    runs: list[tuple[int, int]] = []
    for index in sorted(classes):
        if runs and runs[-1][1] == index:
            runs[-1] = (runs[-1][0], index + 1)
        else:
            runs.append((index, index + 1))
    return runs


def _select(tensor: Tensor, classes: Sequence[int]) -> Tensor:
    """Channels of the given classes in rising order; a view if they are contiguous."""
    parts = [tensor[:, start:stop] for start, stop in _runs(classes)]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _is_static(labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Whether each label is one of the classes."""
    (start, stop), *rest = _runs(classes)
    static = (labels >= start) & (labels < stop)
    for start, stop in rest:
        static |= (labels >= start) & (labels < stop)
    return static


def _one_hot(labels: Tensor, classes: Sequence[int]) -> Tensor:
    """Bool ``(B, len(classes), H, W)``, all False where the label is none of the classes."""
    ids = torch.cat(
        [torch.arange(start, stop, device=labels.device) for start, stop in _runs(classes)]
    )
    return labels.unsqueeze(1) == ids.view(1, -1, 1, 1)


def _dilate(one_hot: Tensor) -> Tensor:
    """Union over the 3 x 3 neighbourhood, one axis after the other; the input stays as it is."""
    rows = one_hot.clone()
    rows[..., 1:, :] |= one_hot[..., :-1, :]
    rows[..., :-1, :] |= one_hot[..., 1:, :]
    union = rows.clone()
    union[..., 1:] |= rows[..., :-1]
    union[..., :-1] |= rows[..., 1:]
    return union


def _blend(
    day: Tensor, night: Tensor, static_classes: Sequence[int], blend: tuple[float, float, float]
) -> Tensor:
    """Scores of static classes mixed from day and night, those of the others from night alone."""
    high, low, threshold = blend
    scores = night.clone()
    for start, stop in _runs(static_classes):
        part = day[:, start:stop]
        share = torch.where(part > threshold, part.new_full((), high), part.new_full((), low))
        scores[:, start:stop] = share * part + (1 - share) * night[:, start:stop]
    return scores


def _weight_like(class_weight: Tensor | Sequence[float], logits: Tensor) -> Tensor:
    """Class weights ``(K,)`` on the logits' device, checked for their number."""
    weight = torch.as_tensor(class_weight, device=logits.device)
    if weight.numel() != logits.shape[1]:
        raise UserInputError(
            f'{weight.numel()} class weights for logits of {logits.shape[1]} classes.'
        )
    return full_precision(weight)
