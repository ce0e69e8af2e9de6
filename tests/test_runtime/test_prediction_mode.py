"""A segmentor that could not predict is refused before it is trained."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS

import mmseg_ccdistill.models  # noqa: F401
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.prediction_mode import check_prediction_mode

WINDOWS = dict(mode='slide', crop_size=(64, 64), stride=(43, 43))


@MODELS.register_module(force=True)
class OwnInference(EncoderDecoder):
    """Predicts in a way of its own."""

    def inference(self, inputs: Any, batch_img_metas: Any) -> Any:
        raise NotImplementedError


def check(model: Any, **more: Any) -> None:
    init_default_scope('mmseg')
    check_prediction_mode(Config(dict(dict(model=model, val_dataloader=dict()), **more)), 'c.py')


@pytest.mark.parametrize(
    'model',
    [
        dict(type='EncoderDecoder', test_cfg=dict(mode='whole')),
        dict(type='EncoderDecoder', test_cfg=WINDOWS),
        dict(type=EncoderDecoder, test_cfg=dict(WINDOWS, stride=[64, 64])),
        dict(type='CCDistillSegmentor', segmentor=dict(type='EncoderDecoder', test_cfg=WINDOWS)),
        dict(
            type='CCDistillSegmentor', segmentor=dict(type='EncoderDecoder'), test_cfg=WINDOWS
        ),
        dict(type='OwnInference'),
        dict(type='Unknown'),
        None,
    ],
)  # fmt: skip
def test_whole_images_and_windows_pass(model) -> None:
    check(model)


def test_a_config_without_tests_needs_no_mode() -> None:
    check(dict(type='EncoderDecoder'), val_dataloader=None)


@pytest.mark.parametrize(
    ('settings', 'problem'),
    [
        (None, 'test_cfg.mode=None: expected '),
        ({}, 'test_cfg.mode=None: expected '),
        (dict(mode='windows'), "test_cfg.mode='windows': expected "),
        (dict(mode='slide'), "test_cfg.mode='slide' and crop_size=None: expected two "),
        (dict(WINDOWS, stride=None), "test_cfg.mode='slide' and stride=None: expected two "),
        (dict(WINDOWS, stride=43), "test_cfg.mode='slide' and stride=43: expected two "),
        (dict(WINDOWS, stride=(0, 43)), "test_cfg.mode='slide' and stride=(0, 43): expected two "),
        (dict(WINDOWS, stride=(65, 43)), 'test_cfg.stride=(65, 43) above crop_size=(64, 64), so '),
    ],
)
def test_the_sentence_names_the_setting(settings, problem) -> None:
    plain = dict(type='EncoderDecoder', test_cfg=settings)
    for key, model in (
        ('model', plain),
        ('model.segmentor', dict(type='CCDistillSegmentor', segmentor=plain)),
    ):
        with pytest.raises(UserInputError) as raised:
            check(model)
        assert str(raised.value).startswith(f"The config 'c.py' has {key}.{problem}")


def test_the_settings_of_the_whole_model_go_first() -> None:
    plain = dict(type='EncoderDecoder', test_cfg=WINDOWS)
    with pytest.raises(UserInputError, match=r'has model\.test_cfg\.mode=.slide. and stride=None'):
        check(
            dict(
                type='CCDistillSegmentor',
                segmentor=plain,
                test_cfg=dict(mode='slide', crop_size=(4, 4)),
            )
        )
