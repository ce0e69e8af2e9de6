"""Class weights from class frequencies."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmseg.utils import cityscapes_classes
from torch import Tensor

from ...errors import UserInputError

#: The 19 training classes of Cityscapes in trainId order.
CITYSCAPES_CLASSES = tuple(cityscapes_classes())

#: Share of each of the 19 training classes among the labelled pixels of Cityscapes train, in
#: trainId order. Source: the constants in ``train.py`` of DANNet (Wu et al., CVPR 2021), whose
#: training protocol the paper follows.
CITYSCAPES_FREQUENCIES = (
    0.36869696,  # road
    0.06084986,  # sidewalk
    0.22824049,  # building
    0.00655399,  # wall
    0.00877272,  # fence
    0.01227341,  # pole
    0.00207795,  # traffic light
    0.0055127,  # traffic sign
    0.15928651,  # vegetation
    0.01157818,  # terrain
    0.04018982,  # sky
    0.01218957,  # person
    0.00135122,  # rider
    0.06994545,  # car
    0.00267456,  # truck
    0.00235192,  # bus
    0.00232904,  # train
    0.00098658,  # motorcycle
    0.00413907,  # bicycle
)

#: What a loss accepts as ``class_weight``: weights, ``'balanced'`` (Cityscapes' frequencies, found by
#: the names of the classes), None (all ones).
ClassWeight = str | Sequence[float] | None


def class_balance_weights(frequencies: Sequence[float] | Tensor, std: float = 0.05) -> Tensor:
    r"""Weights that grow as a class gets rarer, with mean 1 and a chosen spread.

    .. math:: w_k = 1 + s \, \frac{\mathrm{mean}(\ln f) - \ln f_k}{\mathrm{std}(\ln f)}

    with the unbiased standard deviation. The paper only says "weighted cross-entropy"; the formula
    is Eqs. 1-2 of DANNet, whose training code has s = 0.05 (its test-time re-weighting, not used
    here, has 0.16).

    Args:
        frequencies (Sequence[float] | Tensor): Positive class frequencies ``(K,)``, K >= 2; any
            common scale.
        std (float): Unbiased standard deviation of the weights. Defaults to 0.05.

    Returns:
        Tensor: ``(K,)`` float32 (float64 if ``frequencies`` is a float64 tensor). Equal frequencies
            give ones.

    Raises:
        UserInputError: If fewer than two frequencies are given, or one is not positive and finite.
    """
    values = torch.as_tensor(frequencies, device='cpu').to(torch.float64)
    double = isinstance(frequencies, Tensor) and frequencies.dtype == torch.float64
    dtype = torch.float64 if double else torch.float32
    if values.ndim != 1 or values.numel() < 2:
        raise UserInputError(
            f'frequencies must hold at least two classes, got shape {tuple(values.shape)}.'
        )
    bad = [k for k, value in enumerate(values.tolist()) if not 0 < value < float('inf')]
    if bad:
        raise UserInputError(
            f'frequencies of classes {bad} are not positive and finite: leave such classes out or '
            'give the class weights as a list.'
        )
    log = values.log()
    spread = log.std(unbiased=True)
    if spread == 0:
        return torch.ones_like(log).to(dtype)
    return ((log.mean() - log) / spread * std + 1).to(dtype)


def resolve_class_weight(
    class_weight: ClassWeight,
    num_classes: int | None = None,
    classes: Sequence[str] = CITYSCAPES_CLASSES,
) -> Tensor | None:
    """Weights as a tensor from what a config says.

    Args:
        class_weight (str | Sequence[float], optional): ``'balanced'``:
            :func:`class_balance_weights` of Cityscapes' frequencies of the ``classes`` with s =
            0.05. A sequence: the weights. None: no weights.
        num_classes (int, optional): Number of classes to check against. Defaults to None (not
            checked).
        classes (Sequence[str]): Names of the classes in the order of their ids, read with
            ``'balanced'`` only. Defaults to the 19 of Cityscapes.

    Returns:
        Tensor | None: ``(K,)`` float32.

    Raises:
        UserInputError: On another string, a class whose frequency Cityscapes does not tell, a weight
            that is not positive and finite, or a wrong number of weights.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        if class_weight != 'balanced':
            raise UserInputError(
                f"class_weight must be 'balanced', a list or None, got {class_weight!r}."
            )
        weight = class_balance_weights(_cityscapes_frequencies(classes))
    else:
        weight = torch.as_tensor(class_weight, dtype=torch.float32, device='cpu')
        if weight.ndim != 1 or not bool(((weight > 0) & weight.isfinite()).all()):
            raise UserInputError(
                'class_weight must be a flat list of positive, finite numbers, one per class.'
            )
    if num_classes is not None and weight.numel() != num_classes:
        raise UserInputError(
            f'class_weight={class_weight!r} makes {weight.numel()} weights but there are '
            f'{num_classes} classes: give a list with one weight per class, or None for equal ones.'
        )
    return weight


def _cityscapes_frequencies(classes: Sequence[str]) -> list[float]:
    """Frequencies of the classes by name, so that an order or a choice of one's own is right."""
    known = dict(zip(CITYSCAPES_CLASSES, CITYSCAPES_FREQUENCIES, strict=True))
    unknown = [name for name in classes if name not in known]
    if unknown:
        raise UserInputError(
            "class_weight='balanced' knows the frequencies of the 19 classes of Cityscapes alone, not of "
            f'{unknown}: give class_weight as a list of one positive weight per class (class_balance_weights '
            "makes it of your own labels' frequencies), or None for equal ones."
        )
    return [known[name] for name in classes]
