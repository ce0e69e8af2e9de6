"""Settings of the refinement of dark predictions by day predictions, checked before the first pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..errors import UserInputError
from .camera import DARK_ZURICH_VIEW
from .confidence_fusion import DAY_WEIGHT, DYNAMIC_CLASSES, LOW_DAY_WEIGHT
from .depth_map import SKY_CLASS

_CHOICES = {
    'align': ('filter', 'geometry', 'homography'),
    'filter': ('window', 'grid'),
    'unassigned': ('day', 'dark'),
}
#: Numbers above 0: what each is, and what it must be below.
_NUMBERS = {
    'field_of_view': (
        'the horizontal field of view of the camera in degrees, between 0 and 180',
        180,
    ),
    'space': ('a share of the width, between 0 and 1, such as 80 / 1920', 1),
    'colour': ('a positive number', math.inf),
    'day_weight': ('a positive number', math.inf),
    'low_day_weight': ('a positive number', math.inf),
}


@dataclass(frozen=True)
class RefinementSettings:
    """Settings of :func:`refine_day_night`.

    Attributes:
        align: How the day prediction comes into the dark view: ``'filter'`` is GCMA, ``'geometry'`` MGCDA,
            ``'homography'`` takes a plane in place of depth. Where the view is not found, the filter is taken.
        filter: ``'window'``, or ``'grid'``, the released form, which costs ten times as much.
        unassigned: What dark pixels take that no warped pixel covers: ``'day'``, the day prediction of the same
            pixel as the released code does, or ``'dark'``, the dark prediction alone.
        equalize: Whether the contrast of both images is evened out before points are matched (ours).
        field_of_view: Horizontal field of view of the camera in degrees (Dark Zurich: 64.4).
        space: Spread of the filter over place, as a share of the width (80 pixels of 1920 in the released code).
        colour: Spread of the filter over colour in CIELAB / 100.
        day_weight: Weight of the day's confidence in the fusion.
        low_day_weight: The same where the two cannot both be right.
        dynamic_classes: Ids of the classes that move; a single id is taken as one of them.
        sky_class: Id of the sky, which is put far away. None: no class is the sky.
    """

    align: str = 'filter'
    filter: str = 'window'
    unassigned: str = 'day'
    equalize: bool = True
    field_of_view: float = DARK_ZURICH_VIEW
    space: float = 80 / 1920
    colour: float = 0.1
    day_weight: float = DAY_WEIGHT
    low_day_weight: float = LOW_DAY_WEIGHT
    dynamic_classes: tuple[int, ...] = DYNAMIC_CLASSES
    sky_class: int | None = SKY_CLASS

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserInputError: If one is none of its choices, of another type, or out of its range.
        """
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserInputError(
                    f'refine.{name} is {getattr(self, name)!r}: expected one of {", ".join(map(repr, choices))}.'
                )
        for name, (what, limit) in _NUMBERS.items():
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 < value < limit:
                raise UserInputError(f'refine.{name} is {value!r}: expected {what}.')
        if not isinstance(self.equalize, bool):
            raise UserInputError(f'refine.equalize is {self.equalize!r}: expected True or False.')
        if self.sky_class is not None and not _is_id(self.sky_class):
            raise UserInputError(
                f'refine.sky_class is {self.sky_class!r}: expected the id of a class, or None for no sky.'
            )
        given: Any = self.dynamic_classes
        ids = (given,) if _is_id(given) else given
        if not isinstance(ids, list | tuple) or not all(map(_is_id, ids)):
            raise UserInputError(
                f'refine.dynamic_classes is {given!r}: expected ids of classes, such as (11, 12), or () for none.'
            )
        object.__setattr__(self, 'dynamic_classes', tuple(ids))

    def check_classes(self, num_classes: int) -> None:
        """Check the ids against the number of classes.

        Args:
            num_classes: K.

        Raises:
            UserInputError: If an id is none of 0 to K - 1.
        """
        sky = () if self.sky_class is None else (self.sky_class,)
        for name, ids in (('dynamic_classes', self.dynamic_classes), ('sky_class', sky)):
            wrong = [k for k in ids if not 0 <= k < num_classes]
            if wrong:
                raise UserInputError(
                    f'refine.{name} names class {wrong[0]}, but the prediction has {num_classes} classes: set it to '
                    f'ids from 0 to {num_classes - 1} of your own classes.'
                )


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def refinement_settings(given: Mapping[str, Any] | None) -> RefinementSettings:
    """Settings from a config.

    Args:
        given: Names and values, e.g. ``dict(align='geometry')``. None gives the defaults.

    Raises:
        UserInputError: If a name is unknown or a value wrong.
    """
    given = dict(given or {})
    known = [field.name for field in fields(RefinementSettings)]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UserInputError(
            f'refine.{unknown[0]} is no setting: expected some of {", ".join(known)}.'
        )
    return RefinementSettings(**given)
