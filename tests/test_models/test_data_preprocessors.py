"""What a segmentor's config says of its preprocessing is what it gets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_ccdistill.models.data_preprocessors.cross_domain_preprocessor import (
    check_preprocessors_agree,
)

ROOT = Path(__file__).resolve().parents[2]
IMAGENET = dict(
    type='SegDataPreProcessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    size=(512, 512),
)
CROSS = dict(IMAGENET, type='CrossDomainPreprocessor')
FIX = (
    "set model.data_preprocessor=dict(model.segmentor.data_preprocessor, type='CrossDomainPreprocessor'), "
    'or take model.segmentor.data_preprocessor out.'
)


@pytest.mark.parametrize(
    ('changes', 'difference'),
    [
        (
            dict(mean=[127.5] * 3),
            ('mean=[123.675, 116.28, 103.53]', 'mean=[127.5, 127.5, 127.5]'),
        ),
        (dict(std=[1.0] * 3), ('std=[58.395, 57.12, 57.375]', 'std=[1.0, 1.0, 1.0]')),
        (dict(bgr_to_rgb=False), ('bgr_to_rgb=True', 'bgr_to_rgb=False')),
        (dict(pad_val=9), ('pad_val=0', 'pad_val=9')),
        (dict(test_cfg=dict(size_divisor=32)), ('test_cfg=None', "test_cfg={'size_divisor': 32}")),
    ],
)
def test_a_difference_names_both(changes: dict, difference: tuple[str, str]) -> None:
    with pytest.raises(ValueError) as caught:
        check_preprocessors_agree(CROSS, dict(IMAGENET, **changes))
    assert str(caught.value) == (
        f'model.data_preprocessor has {difference[0]}, but model.segmentor.data_preprocessor has '
        f'{difference[1]}: expected both alike, those with which the weights were trained; {FIX}'
    )


@pytest.mark.parametrize(
    ('outer', 'inner'),
    [
        (CROSS, IMAGENET),
        (CROSS, None),
        (None, None),
        (CROSS, dict(IMAGENET, size=(128, 128))),  # of the crop
        (CROSS, dict(IMAGENET, mean=(123.675, 116.28, 103.53), rgb_to_bgr=False)),  # the default
    ],
)
def test_what_does_not_matter_passes(outer: Any, inner: Any) -> None:
    check_preprocessors_agree(outer, inner)


def test_none_at_all_is_refused_where_the_segmentor_states_one() -> None:
    with pytest.raises(ValueError, match='model.data_preprocessor, which does it .* is missing'):
        check_preprocessors_agree(None, IMAGENET)


def test_a_sibling_with_other_statistics_is_refused_at_build() -> None:
    """The change of one line that a user makes for a network from elsewhere."""
    config = Config.fromfile(str(ROOT / 'configs/ccdistill/deeplabv2_r101_cs2dz.py'))
    config.model.segmentor.data_preprocessor.std = [1.0, 1.0, 1.0]
    expected = 'model.segmentor.data_preprocessor has std=[1.0, 1.0, 1.0]'
    with pytest.raises(ValueError, match=re.escape(expected)):
        MODELS.build(config.model)
