"""Labels without logits at the size of the file: equal to those of the model's own test step."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
import torch
from mmseg.models.decode_heads import FCNHead
from mmseg.structures import SegDataSample
from test_predict_batches import make_model

from mmseg_ccdistill.engine import label_prediction
from mmseg_ccdistill.engine.label_prediction import is_composable, predict_labels


def make_batch(images: int = 1, **meta: Any) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    shape = (64, 96)
    inputs = [
        torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8)
        for _ in range(images)
    ]
    info = dict(ori_shape=(150, 211), img_shape=shape, pad_shape=shape, **meta)
    return dict(inputs=inputs, data_samples=[SegDataSample(metainfo=info) for _ in inputs])


def balanced(model: Any) -> Any:
    """The model with the mean of each class's logits taken away, so that every class occurs."""
    network = getattr(model, 'night', model)
    data = model.data_preprocessor(make_batch(), False)
    with torch.no_grad():
        logits = network.decode_head(network.extract_feat(data['inputs']))
        network.decode_head.conv_seg.bias -= logits.mean((0, 2, 3))
    return model


def expected_of(model: Any, batch: dict[str, Any]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [sample.pred_sem_seg.data[0] for sample in model.test_step(batch)]


def test_labels_are_those_of_the_test_step() -> None:
    model = balanced(make_model())
    assert is_composable(model)
    expected = expected_of(model, make_batch(2))
    with mock.patch.object(model, 'test_step', side_effect=AssertionError('two resizes')):
        found = predict_labels(model, make_batch(2))
    assert len(found) == 2 and len(expected[0].unique()) > 1
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == (150, 211) and (ours == theirs).float().mean() >= 0.9999


def test_padding_is_cut_off() -> None:
    model = balanced(make_model())
    padding = [4, 8, 0, 6]
    expected = expected_of(model, make_batch(img_padding_size=padding))[0]
    found = predict_labels(model, make_batch(img_padding_size=padding))[0]
    assert (found == expected).float().mean() >= 0.9999
    other = predict_labels(model, make_batch())[0]
    assert (other == expected).float().mean() < 0.999


def test_what_resizes_in_its_own_way_answers_itself() -> None:
    slide, flipped, special = (balanced(make_model()) for _ in range(3))
    slide.test_cfg.update(mode='slide', crop_size=(32, 32), stride=(16, 16))
    special.decode_head.__class__ = type(
        'OwnHead', (FCNHead,), dict(predict_by_feat=lambda self, x, metas: x.repeat(1, 1, 8, 8))
    )
    assert not is_composable(slide) and not is_composable(special)
    flip = dict(flip=True, flip_direction='horizontal')
    with mock.patch.object(label_prediction, 'label_map', side_effect=AssertionError):
        for model, meta in ((slide, {}), (flipped, flip)):
            found = predict_labels(model, make_batch(**meta))[0]
            assert torch.equal(found, expected_of(model, make_batch(**meta))[0])


@pytest.mark.parametrize('std', [None, 0.5])
def test_an_adaptation_predicts_with_its_network_and_its_weights(std: float | None) -> None:
    from mmengine.config import Config
    from mmseg.registry import MODELS

    from benchmarks.repository import ROOT

    config = Config.fromfile(str(ROOT / 'configs/ccdistill/refinenet_small_mini_day2night.py'))
    torch.manual_seed(0)
    model = MODELS.build({**config.model, 'test_reweight_std': std}).eval()
    balanced(model)
    expected = expected_of(model, make_batch())[0]
    with mock.patch.object(model, 'test_step', side_effect=AssertionError('two resizes')):
        found = predict_labels(model, make_batch())[0]
    assert len(expected.unique()) > 1
    assert (found == expected).float().mean() >= 0.9999
