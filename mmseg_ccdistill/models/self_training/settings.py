"""What self-training accepts: its names, numbers and sizes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor

from ...errors import UserInputError
from ..losses.class_weights import ClassWeight
from .class_mix import PASTES

#: Networks that may learn so.
NETWORKS = ('night', 'day')

#: Whose opinion on T_n counts: day and night by MGCDA's rule, by Refign's, or one of the two alone.
FUSIONS = ('mgcda', 'refign', 'night', 'day')


def check_sizes(learner: str, source: Tensor, target: Tensor) -> None:
    """Refuse crops that do not lie on each other.

    Args:
        learner: Name of the network.
        source: Images of its source, ``(B, 3, H, W)``.
        target: Images of its target.

    Raises:
        UserInputError: If their sizes differ.
    """
    if source.shape != target.shape:
        raise UserInputError(
            f'SelfTraining: source_{learner} is {tuple(source.shape[2:])} pixels and target_{learner} '
            f'{tuple(target.shape[2:])}: expected one size, because one is pasted into the other; give both pipelines '
            'of train_dataloader.dataset one crop size.'
        )


def check_names(learners: Sequence[str], fusion: str | None, paste: str | None) -> None:
    """Refuse unknown names.

    Args:
        learners: Networks that learn.
        fusion: One of :data:`FUSIONS`; None: not given.
        paste: One of ``PASTES``, or None.

    Raises:
        UserInputError: At the first unknown one.
    """
    is_list = isinstance(learners, list | tuple)
    if not is_list or not learners or not all(name in NETWORKS for name in learners):
        raise UserInputError(
            f'SelfTraining: learners must be some of {NETWORKS}, got {learners!r}; for none set self_training=None.'
        )
    if fusion is not None and fusion not in FUSIONS:
        raise UserInputError(f'SelfTraining: fusion must be one of {FUSIONS}, got {fusion!r}.')
    if paste is not None and paste not in PASTES:
        raise UserInputError(f'SelfTraining: paste must be one of {PASTES} or None, got {paste!r}.')


def check_read(
    learners: Sequence[str],
    fusion: str | None,
    parallax: int | None,
    keep_pseudo: bool,
    paste: str | None,
    pseudo_weight: float,
    masked_ratio: float | None,
) -> None:
    """Refuse settings that nothing reads; the arguments are those of ``SelfTraining``.

    Args:
        learners: Networks that learn.
        fusion: A rule; None: not given.
        parallax: A radius; None: not given.
        keep_pseudo: Whether L_pseudo stays.
        paste: What is pasted; None: nothing.
        pseudo_weight: Factor of the labels of the teachers.
        masked_ratio: A share; None: no masked pass, which learns from the source, too.

    Raises:
        UserInputError: If M_n does not learn and one of the first three is given, if it hears one teacher alone and
            there is a radius, or if nothing is left to learn from.
    """
    if paste is None and pseudo_weight == 0 and masked_ratio is None:
        raise UserInputError(
            'SelfTraining: with paste=None and pseudo_weight=0 no pixel is left to learn from: give one of them, or '
            'set self_training=None.'
        )
    if 'night' not in learners:
        values = dict(fusion=fusion, parallax=parallax, keep_pseudo=keep_pseudo or None)
        given = {name: value for name, value in values.items() if value is not None}
        if given:
            have = ' and '.join(f'{name}={value!r}' for name, value in given.items())
            fix = ' and '.join(
                f'{name}={False if name == "keep_pseudo" else None}' for name in given
            )
            raise UserInputError(
                f"SelfTraining: {have} {'has' if len(given) == 1 else 'have'} no effect with learners=('day',), "
                'because M_d hears its own teacher alone and L_pseudo is of M_n: set '
                f"{fix} in model.self_training, or add 'night' to learners."
            )
    elif fusion in NETWORKS and parallax is not None:
        raise UserInputError(
            f'SelfTraining: parallax={parallax!r} has no effect with fusion={fusion!r}, which asks one teacher alone: '
            "set model.self_training.parallax=None, or fusion='mgcda' or 'refign'."
        )


def check_kept(keep_pseudo: bool, has_pseudo: bool) -> None:
    """Refuse to keep a term that is not there.

    Args:
        keep_pseudo: Whether L_pseudo stays.
        has_pseudo: Whether the method has it.

    Raises:
        UserInputError: If it stays and is not there.
    """
    if keep_pseudo and not has_pseudo:
        raise UserInputError(
            'SelfTraining: keep_pseudo=True has no effect with loss_pseudo=None: set '
            "model.self_training.keep_pseudo=False, or model.loss_pseudo=dict(type='StaticLoss')."
        )


def check_weight(weight: Mapping[str, object] | None) -> None:
    """Refuse what are no settings.

    Args:
        weight: Of the weight of the pseudo labels.

    Raises:
        UserInputError: If they are no dict.
    """
    if weight is not None and not isinstance(weight, Mapping):
        raise UserInputError(
            "SelfTraining: weight must be the settings of a PseudoLabelWeight, e.g. dict(form='ratio'), or None, got "
            f'{weight!r}.'
        )


def check_head(head: BaseDecodeHead, count: int, ignore_index: int) -> None:
    """Refuse a decode head of other classes.

    Args:
        head: Of a network that learns or teaches.
        count: Number of classes of the self-training.
        ignore_index: Label that it ignores.

    Raises:
        UserInputError: If the head has another number, or ignores another label.
    """
    if head.num_classes != count:
        raise UserInputError(
            f'SelfTraining: it knows {count} classes, but the decode head has {head.num_classes}: set '
            'model.self_training.classes to the names of those of the data.'
        )
    if head.ignore_index != ignore_index:
        raise UserInputError(
            f'SelfTraining: ignore_index is {ignore_index}, but that of the decode head is {head.ignore_index}: '
            'expected equal numbers, because both read the labels of the source; set '
            f'model.self_training.ignore_index={head.ignore_index}.'
        )


def check_numbers_of_classes(count: int, of_weight: int, class_weight: ClassWeight) -> None:
    """Refuse settings that are for another number of classes.

    Args:
        count: Number of classes.
        of_weight: ``num_classes`` of the weight of the pseudo labels.
        class_weight: Weights of the loss.

    Raises:
        UserInputError: If one has another number.
    """
    if of_weight != count:
        raise UserInputError(
            f'SelfTraining: weight.num_classes is {of_weight}, but classes names {count}: expected equal numbers; take '
            'weight.num_classes out.'
        )
    if class_weight is not None and not isinstance(class_weight, str):
        if len(class_weight) != count:
            raise UserInputError(
                f'SelfTraining: class_weight has {len(class_weight)} weights, but classes names {count}: give one '
                'weight per class, or None.'
            )


def check_numbers(
    parallax: int | None, pseudo_weight: float, masked_ratio: float | None, loss_weight: float
) -> None:
    """Refuse numbers out of their range; the arguments are those of ``SelfTraining``.

    Args:
        parallax: A radius; None: not given.
        pseudo_weight: A factor.
        masked_ratio: A share, or None.
        loss_weight: A factor.

    Raises:
        UserInputError: At the first one.
    """
    if parallax is not None and not (isinstance(parallax, int) and parallax >= 0):
        raise UserInputError(
            f'SelfTraining: parallax counts cells, expected an integer from 0 on, got {parallax!r}.'
        )
    if masked_ratio is not None and not (_is_finite(masked_ratio) and 0 <= masked_ratio < 1):
        raise UserInputError(
            f'SelfTraining: masked_ratio must be at least 0 and below 1, got {masked_ratio!r}; None: no masked pass.'
        )
    if not (_is_finite(pseudo_weight) and pseudo_weight >= 0):
        raise UserInputError(
            f'SelfTraining: pseudo_weight must be a number from 0 on, got {pseudo_weight!r}.'
        )
    if not (_is_finite(loss_weight) and loss_weight > 0):
        raise UserInputError(
            f'SelfTraining: loss_weight must be a positive number, got {loss_weight!r}; to turn it off set '
            'self_training=None.'
        )


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
