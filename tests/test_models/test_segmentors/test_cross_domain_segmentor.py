from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.model import BaseTTAModel
from mmengine.runner import load_checkpoint
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY


@pytest.fixture
def plain(segmentor_config: dict[str, Any]) -> Callable[[int], torch.nn.Module]:
    """Builds the segmentor alone, as mmseg has it."""

    def make(seed: int) -> torch.nn.Module:
        torch.manual_seed(seed)
        model = MODELS.build(ConfigDict(segmentor_config))
        model.init_weights()
        return model

    return make


def test_a_plain_checkpoint_starts_both_branches(
    build: Callable, plain: Callable, tmp_path: Path
) -> None:
    source = plain(5)
    path = tmp_path / 'source.pth'
    torch.save({'state_dict': source.state_dict(), 'meta': {OWN_KEY: '0.1.0'}}, path)
    model = build()
    load_checkpoint(model, str(path), map_location='cpu')
    for branch in (model.day, model.night):
        for key, value in source.state_dict().items():
            assert torch.equal(branch.state_dict()[key], value), key


def test_a_full_checkpoint_keeps_its_branches(build: Callable, tmp_path: Path) -> None:
    trained, fresh = build(), build()
    with torch.no_grad():
        for parameter in trained.night.parameters():
            parameter.add_(1)
    path = tmp_path / 'full.pth'
    torch.save({'state_dict': trained.state_dict(), 'meta': {OWN_KEY: '0.1.0'}}, path)
    load_checkpoint(fresh, str(path), map_location='cpu', strict=True)
    fresh.init_weights()  # must not undo what was loaded
    for key, value in trained.night.state_dict().items():
        assert torch.equal(fresh.night.state_dict()[key], value), key


def test_a_checkpoint_that_matches_nothing_is_an_error(build: Callable) -> None:
    with pytest.raises(ValueError, match='fits nothing'):
        build().load_state_dict({'encoder.weight': torch.zeros(3)})


@pytest.mark.parametrize('prefix', ['', 'night.'])
def test_a_checkpoint_of_another_width_is_an_error(build: Callable, prefix: str) -> None:
    """Same names, other shapes: only step counters and a few biases would fit."""
    wider = {
        f'{prefix}{name}': torch.zeros([2 * size for size in value.shape])
        for name, value in build().night.state_dict().items()
    }
    with pytest.raises(ValueError, match='another width'):
        build().load_state_dict(wider, strict=False)


def test_only_a_loaded_night_branch_is_kept(build: Callable) -> None:
    """After day alone was loaded, `init_weights` still gives night the weights of day."""
    trained, fresh = build(), build()
    day = {k: v for k, v in trained.state_dict().items() if k.startswith('day.')}
    fresh.load_state_dict(day, strict=False)
    fresh.is_init = False  # as if the loader had run first
    fresh.day.is_init = False
    with torch.no_grad():
        for parameter in fresh.night.parameters():
            parameter.zero_()
    fresh.init_weights()
    assert all(torch.equal(day[f'day.{k}'], v) for k, v in fresh.night.state_dict().items())


@pytest.mark.parametrize('branches', [('night',), ('day', 'night')])
def test_a_night_branch_that_was_loaded_first_is_kept(
    build: Callable, model_config: dict[str, Any], branches: tuple[str, ...]
) -> None:
    """A loader that runs before `init_weights` (mmengine's `Pretrained` does not, `init_model` may)."""
    trained = build()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1)
    state = {k: v for k, v in trained.state_dict().items() if k.split('.')[0] in branches}
    fresh = MODELS.build(ConfigDict(model_config))
    fresh.load_state_dict(state, strict=False)
    fresh.init_weights()
    for key, value in trained.night.state_dict().items():
        assert torch.equal(fresh.night.state_dict()[key], value), key
    unloaded = MODELS.build(ConfigDict(model_config))
    unloaded.init_weights()  # nothing was loaded: both start equal
    day = unloaded.day.state_dict()
    assert all(torch.equal(day[key], v) for key, v in unloaded.night.state_dict().items())


def test_weights_are_initialised_once(build: Callable) -> None:
    """A runner that trains on calls init_weights again: night keeps what it has learnt."""
    model = build()
    with torch.no_grad():
        for parameter in model.night.parameters():
            parameter.add_(1)
    learnt = {key: value.clone() for key, value in model.state_dict().items()}
    model.init_weights()
    assert all(torch.equal(value, learnt[key]) for key, value in model.state_dict().items())


def test_export_is_a_plain_segmentor_with_identical_logits(
    build: Callable, plain: Callable
) -> None:
    model = build().eval()
    with torch.no_grad():
        for parameter in model.night.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    state, left = model.export_branch('night')
    student = plain(9).eval()
    student.load_state_dict(state, strict=True)
    image = torch.randn(1, 3, 65, 97)
    assert torch.equal(student(image), model(image))
    assert any(key.startswith('projection_head') for key in left) and any(
        key.startswith('day.') for key in left
    )


def test_prediction_ignores_the_day_branch(build: Callable) -> None:
    model = build().eval()
    image = torch.randn(1, 3, 64, 96)
    before = model(image)
    with torch.no_grad():
        for parameter in model.day.parameters():
            parameter.zero_()
    assert torch.equal(model(image), before)


def test_prediction_needs_neither_the_day_branch_nor_the_head(build: Callable) -> None:
    model = build().eval()
    image = torch.randn(1, 3, 64, 96)
    before = model(image)
    del model.day, model.projection_head
    assert torch.equal(model(image), before)


def test_the_other_branch_can_predict(build: Callable) -> None:
    model = build(predict_with='day').eval()
    image = torch.randn(1, 3, 64, 96)
    before = model(image)
    with torch.no_grad():
        for parameter in model.night.parameters():
            parameter.zero_()
    assert torch.equal(model(image), before) and torch.equal(model.day(image), before)
    assert before.abs().sum() > 0


def test_segmentor_contract(build: Callable) -> None:
    """What SegTTAModel, the inferencer and the tools read from a model."""
    model = build()
    assert (model.out_channels, model.num_classes, model.align_corners) == (19, 19, True)
    assert model.decode_head is model.night.decode_head and model.test_cfg.mode == 'whole'
    sample = SegDataSample(
        metainfo=dict(ori_shape=(128, 192), img_shape=(64, 96), padding_size=[0, 0, 0, 0])
    )
    (out,) = model.eval().predict(torch.randn(1, 3, 64, 96), [sample])
    assert out.pred_sem_seg.data.shape == (1, 128, 192) and out.seg_logits.data.shape == (
        19,
        128,
        192,
    )


def test_test_time_augmentation(build: Callable) -> None:
    model = build()
    tta = MODELS.build(ConfigDict(type='SegTTAModel', module=model))
    assert isinstance(tta, BaseTTAModel)
    views = []
    for flip in (False, True):
        sample = SegDataSample(
            metainfo=dict(
                ori_shape=(64, 96),
                img_shape=(64, 96),
                padding_size=[0, 0, 0, 0],
                flip=flip,
                flip_direction='horizontal',
                img_path='a.png',
            )
        )
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, 64, 96, dtype=torch.long))
        views.append(sample)
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    data: dict[str, Any] = {
        'inputs': [[image], [image.flip(2)]],
        'data_samples': [[view] for view in views],
    }
    (merged,) = tta.eval().test_step(data)
    assert merged.pred_sem_seg.data.shape[-2:] == (64, 96)


def test_slide_inference_setting_reaches_the_branch(build: Callable) -> None:
    model = build(test_cfg=dict(mode='slide', crop_size=(64, 64), stride=(32, 32)))
    assert model.night.test_cfg.mode == 'slide'
    sample = SegDataSample(
        metainfo=dict(ori_shape=(64, 96), img_shape=(64, 96), padding_size=[0, 0, 0, 0])
    )
    (out,) = model.eval().predict(torch.randn(1, 3, 64, 96), [sample])
    assert out.pred_sem_seg.data.shape == (1, 64, 96)


def test_segmentors_without_a_logits_map_are_refused(
    build: Callable, segmentor_config: dict[str, Any]
) -> None:
    segmentor = segmentor_config
    segmentor['type'] = 'CascadeEncoderDecoder'
    segmentor['num_stages'] = 1
    segmentor['decode_head'] = [segmentor['decode_head']]
    with pytest.raises(ValueError, match='EncoderDecoder'):
        build(segmentor=segmentor)


def test_heads_with_a_loss_of_their_own_are_refused(
    build: Callable, segmentor_config: dict[str, Any]
) -> None:
    """Their logits are a tuple, or their labels are not the classes: loss_decode alone would be wrong."""
    common = dict(in_channels=64, in_index=3, channels=8, norm_cfg=dict(type='BN'))
    plain = segmentor_config['decode_head']
    segmentor_config['decode_head'] = dict(
        common, type='DAHead', pam_channels=4, num_classes=19, loss_decode=plain['loss_decode']
    )
    with pytest.raises(ValueError, match='DAHead computes its loss in a way of its own'):
        build(segmentor=segmentor_config)
    segmentor_config['decode_head'] = plain
    segmentor_config['auxiliary_head'] = [
        dict(common, type='FCNHead', num_convs=1, num_classes=19, loss_decode=plain['loss_decode']),
        dict(common, type='STDCHead', num_convs=1, num_classes=2, boundary_threshold=0.1),
    ]
    with pytest.raises(ValueError, match='STDCHead computes.*leave it out'):
        build(segmentor=segmentor_config)
    del segmentor_config['auxiliary_head'][1]
    build(segmentor=segmentor_config)


#: w(0.16) of Cityscapes, as DANNet's released test configuration prints it.
TEST_WEIGHTS = [
    *(0.6932, 0.8536, 0.7359, 1.0519, 1.0259, 0.9961, 1.1541, 1.0673, 0.7679, 1.0013),
    *(0.8905, 0.9967, 1.1924, 0.8412, 1.1317, 1.1431, 1.1440, 1.2204, 1.0928),
]


def test_logits_are_reweighted_at_test_time_only_if_asked(build: Callable) -> None:
    """Not in the paper; an option for DANNet's protocol. Training and export know nothing of it."""
    sample = SegDataSample(
        metainfo=dict(ori_shape=(64, 96), img_shape=(64, 96), padding_size=[0, 0, 0, 0])
    )
    image = torch.randn(1, 3, 64, 96)
    plain, weighted = build().eval(), build(test_reweight_std=0.16).eval()
    weighted.load_state_dict(plain.state_dict())  # nothing is added to a checkpoint
    (before,) = plain.predict(image, [sample.clone()])
    (after,) = weighted.predict(image, [sample.clone()])
    expected = before.seg_logits.data * torch.tensor(TEST_WEIGHTS).view(-1, 1, 1)
    torch.testing.assert_close(after.seg_logits.data, expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(after.pred_sem_seg.data, after.seg_logits.data.argmax(0, keepdim=True))
    assert torch.equal(plain(image), weighted(image))


def test_reweighting_needs_the_classes_of_cityscapes(
    build: Callable, segmentor_config: dict[str, Any]
) -> None:
    segmentor_config['decode_head']['num_classes'] = 5
    segmentor_config['decode_head']['loss_decode']['class_weight'] = None
    with pytest.raises(ValueError, match='has 5: set test_reweight_std=None'):
        build(segmentor=segmentor_config, test_reweight_std=0.16, loss_pseudo=None)
