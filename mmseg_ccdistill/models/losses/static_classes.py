"""Which classes are static: they stay in place between day and night."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import UserInputError
from .class_weights import CITYSCAPES_CLASSES

#: Cityscapes' classes that stay in place between day and night, road to sky: the 11 that DANNet and
#: the paper call static.
STATIC_CLASSES = CITYSCAPES_CLASSES[:11]


def static_class_ids(
    static_classes: Sequence[str] | Sequence[int],
    num_classes: int,
    classes: Sequence[str] | None,
    owner: str = 'StaticLoss',
) -> list[int]:
    """Ids of the static classes, rising.

    Args:
        static_classes (Sequence[str] | Sequence[int]): Names or ids, distinct.
        num_classes (int): Number of classes K.
        classes (Sequence[str], optional): Names of the classes in the order of their ids. None: they
            have no names here.
        owner (str): Component that has the setting, for messages. Defaults to ``'StaticLoss'``.

    Returns:
        list[int]: From 0 to K - 1.

    Raises:
        UserInputError: If there are none, one is named twice or does not exist, or names are given for
            classes without names.
    """
    wanted = list(static_classes)
    if any(isinstance(name, str) for name in wanted):
        if classes is None:
            raise UserInputError(
                f'{owner}: static_classes {wanted} are names, but the names of the {num_classes} classes are not '
                'known: set classes=[...] to those of the data set.'
            )
        known: Sequence[str] | Sequence[int] = list(classes)
        expected = f'distinct names out of {known}'
    else:
        known, expected = range(num_classes), f'distinct numbers from 0 to {num_classes - 1}'
    if not wanted or len(set(wanted)) < len(wanted) or not set(wanted) <= set(known):
        raise UserInputError(f'{owner}: static_classes must be {expected}, got {wanted}.')
    return sorted(known.index(name) for name in wanted)
