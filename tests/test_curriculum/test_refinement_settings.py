from __future__ import annotations

import pytest

from mmseg_ccdistill.curriculum import RefinementSettings, refinement_settings
from mmseg_ccdistill.errors import UserInputError


def test_settings_of_a_config() -> None:
    assert refinement_settings(None) == RefinementSettings()
    given = refinement_settings(dict(align='geometry', dynamic_classes=[1, 2]))
    assert given.align == 'geometry' and given.dynamic_classes == (1, 2)
    given.check_classes(11)


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        (dict(aline='filter'), 'refine.aline is no setting: expected some of align, filter'),
        (dict(align='dense'), "refine.align is 'dense': expected one of 'filter', 'geometry', 'homography'"),
        (dict(filter='box'), "refine.filter is 'box'"),
        (dict(unassigned='zero'), "refine.unassigned is 'zero': expected one of 'day', 'dark'"),
        (dict(space=0), 'refine.space is 0: expected a positive number'),
        (dict(colour='0.1'), "refine.colour is '0.1': expected a positive number"),
        (dict(field_of_view=0), 'field_of_view is 0: expected the horizontal field of view'),
    ],
)  # fmt: skip
def test_wrong_settings(given: dict, sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        refinement_settings(given)


def test_ids_that_no_class_has() -> None:
    with pytest.raises(UserInputError, match='refine.sky_class names class 10, but .* 5 classes'):
        RefinementSettings(dynamic_classes=(4,)).check_classes(5)
    RefinementSettings(dynamic_classes=(4,), sky_class=None).check_classes(5)
