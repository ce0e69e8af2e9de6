from __future__ import annotations

import math

import pytest

from mmseg_ccdistill.curriculum import RefinementSettings, refinement_settings
from mmseg_ccdistill.errors import UserInputError


def test_settings_of_a_config() -> None:
    assert refinement_settings(None) == RefinementSettings()
    given = refinement_settings(dict(align='geometry', dynamic_classes=[1, 2]))
    assert given.align == 'geometry' and given.dynamic_classes == (1, 2)
    given.check_classes(11)
    assert refinement_settings(dict(dynamic_classes=11)).dynamic_classes == (11,)
    assert refinement_settings(dict(dynamic_classes=[])).dynamic_classes == ()


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        (dict(aline='filter'), 'refine.aline is no setting: expected some of align, filter'),
        (dict(align='dense'), "refine.align is 'dense': expected one of 'filter', 'geometry', 'homography'"),
        (dict(filter='box'), "refine.filter is 'box'"),
        (dict(unassigned='zero'), "refine.unassigned is 'zero': expected one of 'day', 'dark'"),
        (dict(space=0), 'refine.space is 0: expected a share of the width, between 0 and 1, such as 80 / 1920'),
        (dict(space=80), 'refine.space is 80: expected a share of the width'),
        (dict(space=math.inf), 'refine.space is inf: expected a share of the width'),
        (dict(space=math.nan), 'refine.space is nan: expected a share of the width'),
        (dict(space=True), 'refine.space is True: expected a share of the width'),
        (dict(colour='0.1'), "refine.colour is '0.1': expected a positive number"),
        (dict(colour=math.inf), 'refine.colour is inf: expected a positive number'),
        (dict(day_weight=None), 'refine.day_weight is None: expected a positive number'),
        (dict(low_day_weight=[0.3]), r'refine.low_day_weight is \[0.3\]: expected a positive number'),
        (dict(field_of_view=0), 'refine.field_of_view is 0: expected the horizontal field of view of the camera'),
        (dict(field_of_view=180), 'refine.field_of_view is 180: expected the horizontal field of view'),
        (dict(field_of_view='wide'), "refine.field_of_view is 'wide': expected the horizontal field of view"),
        (dict(equalize='no'), "refine.equalize is 'no': expected True or False"),
        (dict(equalize=0), 'refine.equalize is 0: expected True or False'),
        (dict(dynamic_classes=None), r'refine.dynamic_classes is None: expected ids of classes, such as \(11, 12\)'),
        (dict(dynamic_classes='car'), "refine.dynamic_classes is 'car': expected ids of classes"),
        (dict(dynamic_classes=['car']), r"refine.dynamic_classes is \['car'\]: expected ids of classes"),
        (dict(dynamic_classes=[1.0]), r'refine.dynamic_classes is \[1.0\]: expected ids of classes'),
        (dict(dynamic_classes=True), 'refine.dynamic_classes is True: expected ids of classes'),
        (dict(sky_class='sky'), "refine.sky_class is 'sky': expected the id of a class, or None"),
        (dict(sky_class=True), 'refine.sky_class is True: expected the id of a class, or None'),
        (dict(align=['filter']), r"refine.align is \['filter'\]: expected one of"),
    ],
)  # fmt: skip
def test_wrong_settings(given: dict, sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        refinement_settings(given)


def test_ids_that_no_class_has() -> None:
    with pytest.raises(UserInputError, match='refine.sky_class names class 10, but .* 5 classes'):
        RefinementSettings(dynamic_classes=(4,)).check_classes(5)
    RefinementSettings(dynamic_classes=(4,), sky_class=None).check_classes(5)
