"""What self-training accepts: its names, numbers and sizes."""

from __future__ import annotations

from collections.abc import Sequence

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


def check_names(learners: Sequence[str], fusion: str, paste: str | None) -> None:
    """Refuse unknown names.

    Args:
        learners: Networks that learn.
        fusion: One of :data:`FUSIONS`.
        paste: One of ``PASTES``, or None.

    Raises:
        UserInputError: At the first unknown one.
    """
    if isinstance(learners, str) or not learners or not set(learners) <= set(NETWORKS):
        raise UserInputError(
            f'SelfTraining: learners must be some of {NETWORKS}, got {learners!r}; for none set self_training=None.'
        )
    if fusion not in FUSIONS:
        raise UserInputError(f'SelfTraining: fusion must be one of {FUSIONS}, got {fusion!r}.')
    if paste is not None and paste not in PASTES:
        raise UserInputError(f'SelfTraining: paste must be one of {PASTES} or None, got {paste!r}.')


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
    parallax: int, pseudo_weight: float, masked_ratio: float | None, loss_weight: float
) -> None:
    """Refuse numbers out of their range; the arguments are those of ``SelfTraining``.

    Args:
        parallax: A radius.
        pseudo_weight: A factor.
        masked_ratio: A share, or None.
        loss_weight: A factor.

    Raises:
        UserInputError: At the first one.
    """
    if not isinstance(parallax, int) or parallax < 0:
        raise UserInputError(
            f'SelfTraining: parallax counts cells, expected an integer from 0 on, got {parallax!r}.'
        )
    if masked_ratio is not None and not 0 <= masked_ratio < 1:
        raise UserInputError(
            f'SelfTraining: masked_ratio must be at least 0 and below 1, got {masked_ratio}; None: no masked pass.'
        )
    if pseudo_weight < 0:
        raise UserInputError(
            f'SelfTraining: pseudo_weight must not be negative, got {pseudo_weight}.'
        )
    if loss_weight <= 0:
        raise UserInputError(
            f'SelfTraining: loss_weight must be positive, got {loss_weight}; to turn it off set self_training=None.'
        )
