"""One frozen ViT for both branches and a teacher: memory, checkpoints, export."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from domain_batch import domain_batch
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from timm_there import needs_timm
from torch import Tensor, nn

from mmseg_ccdistill.models.segmentors import CCDistillSegmentor, EMATeacher
from mmseg_ccdistill.models.segmentors.frozen_network import count_parameters
from mmseg_ccdistill.runtime.finite_state import batch_statistics
from mmseg_ccdistill.runtime.tied_tensors import tie_tensors

SMALL = dict(embed_dims=16, num_layers=2, num_heads=2, num_tokens=5, rank=2)
DINOV2 = dict(SMALL, type='ReinVisionTransformer', img_size=64, patch_size=16)
DINOV3 = dict(SMALL, type='ReinDINOv3')


class WithTeachers(CCDistillSegmentor):
    """A moving average of each branch."""

    networks = ('day', 'night', 'day_teacher', 'night_teacher')
    frozen = ('day_teacher', 'night_teacher')

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.day_ema, self.night_ema = EMATeacher(lag=1), EMATeacher(lag=1)

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        self.day_ema.update(self.day, self.day_teacher)
        self.night_ema.update(self.night, self.night_teacher)
        return super().loss(inputs, data_samples)


MODELS.register_module(module=WithTeachers, force=True)


@pytest.fixture(params=[DINOV2, pytest.param(DINOV3, marks=needs_timm)], ids=['dinov2', 'dinov3'])
def config(model_config: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    head = dict(
        type='PerPixelHead',
        in_channels=16,
        num_classes=19,
        loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
    )
    config = copy.deepcopy(model_config)
    config['segmentor'].update(backbone=dict(request.param), decode_head=head)
    config['projection_head']['in_channels'] = 16
    return dict(config, share_backbone=True)


def build(config: dict[str, Any], seed: int = 0, **changes: Any) -> nn.Module:
    init_default_scope('mmseg')
    torch.manual_seed(seed)
    model = MODELS.build(ConfigDict(copy.deepcopy(config) | changes))
    model.init_weights()
    return model


def train(model: nn.Module, steps: int = 2) -> None:
    """Large steps."""
    wrapper = build_optim_wrapper(
        model, dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.05, weight_decay=0.1))
    )
    model.train()
    for step in range(steps):
        batch = model.data_preprocessor(domain_batch(seed=step), training=True)
        total, _ = model.parse_losses(model(**batch, mode='loss'))
        wrapper.update_params(total)


def bytes_held(model: nn.Module) -> int:
    """Of parameters and buffers, each storage once."""
    held = [*model.parameters(), *model.buffers()]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}
    return sum(storages.values())


def vit_bytes(model: nn.Module) -> int:
    """Buffers that a checkpoint leaves out, as DINOv3's rotation periods, are a few bytes more."""
    return sum(4 * buffer.numel() for buffer in model.night.backbone.vit.buffers())


@pytest.mark.parametrize('method', ['CCDistillSegmentor', 'WithTeachers'])
def test_memory_holds_the_vit_once(config: dict, method: str) -> None:
    shared, apart = build(config, type=method), build(config, type=method, share_backbone=False)
    networks = len(shared.networks)
    assert vit_bytes(shared) > 25_000
    assert bytes_held(apart) - bytes_held(shared) == (networks - 1) * vit_bytes(shared)
    for name in shared.networks:
        assert shared.network(name).backbone.vit is shared.day.backbone.vit
        assert shared.network(name).backbone.rein is not shared.day.backbone.rein or name == 'day'


@pytest.mark.parametrize('method', ['CCDistillSegmentor', 'WithTeachers'])
def test_trains_as_with_a_vit_for_each_network(config: dict, method: str) -> None:
    """Bit by bit, and the branches grow apart in their adapters and heads alone."""
    shared, apart = build(config, type=method), build(config, type=method, share_backbone=False)
    before = {k: v.clone() for k, v in shared.day.backbone.vit.state_dict().items()}
    for model in (shared, apart):
        train(model)
    ours, theirs = shared.state_dict(), apart.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(v, theirs[k]) for k, v in ours.items())
    assert all(torch.equal(v, before[k]) for k, v in shared.night.backbone.vit.state_dict().items())
    differ = {
        key
        for key, value in shared.day.state_dict().items()
        if not torch.equal(value, ours[f'night.{key}'])
    }
    assert differ == {name for name, _ in shared.day.named_parameters()}


@pytest.mark.parametrize('share_backbone', [True, False])
def test_the_teachers_of_self_training_have_the_vit_of_their_students(
    config: dict, share_backbone: bool
) -> None:
    own = dict(type='SelfTraining', learners=('night', 'day'), paste=None, lag=3, start=0, ramp=0)
    changes = dict(share_backbone=share_backbone, loss_cdc=None, loss_cds=None)
    alone = build(config, **changes, projection_head=None)
    model = build(config, **changes, projection_head=None, self_training=own)
    teachers = {name: model.self_training.teacher(name) for name in ('day', 'night')}
    for name, teacher in teachers.items():
        assert teacher.backbone.vit is model.network(name).backbone.vit
        assert teacher.backbone.rein is not model.network(name).backbone.rein
    heads = sum(count_parameters(t) - count_parameters(t.backbone.vit) for t in teachers.values())
    assert bytes_held(model) - bytes_held(alone) < 4 * heads + 2048  # thresholds, class lists
    before = {k: v.clone() for k, v in model.day.backbone.vit.state_dict().items()}
    train(model)
    assert all(torch.equal(v, before[k]) for k, v in model.day.backbone.vit.state_dict().items())
    rein = (part.backbone.rein.scale for part in (model.night, teachers['night']))
    assert not torch.equal(*rein)
    held = dict(batch_statistics(model))
    assert not any('backbone.vit' in name or 'rein' in name for name in held)


def test_the_vit_is_never_in_training_mode_nor_in_an_optimizer(config: dict) -> None:
    model = build(config, type='WithTeachers')
    assert model.train() is model
    assert not any(module.training for module in model.night.backbone.vit.modules())
    assert model.night.backbone.rein.training and not model.night_teacher.backbone.rein.training
    assert not any('.vit.' in name for name, _ in model.named_parameters())


def test_a_teacher_does_not_copy_what_it_shares(config: dict, monkeypatch: Any) -> None:
    model = build(config, type='WithTeachers')
    copied = []
    copy_into = Tensor.copy_
    monkeypatch.setattr(Tensor, 'copy_', lambda a, b: copied.append(a) or copy_into(a, b))
    model.night_ema.update(model.night, model.night_teacher)
    assert not copied


def written(state: dict[str, Tensor]) -> int:
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    return len(buffer.getvalue())


def test_a_checkpoint_holds_the_vit_once(config: dict) -> None:
    """From the CPU as it is; from a GPU every name comes as a copy of its own, which is tied again."""
    model = build(config)
    state = model.state_dict()
    copies = {key: value.clone() for key, value in state.items()}
    assert written(copies) - written(state) > 0.95 * vit_bytes(model)
    tie_tensors(copies, state)
    assert written(copies) == pytest.approx(written(state), abs=2000)
    assert all(torch.equal(copies[key], value) for key, value in state.items())
    again = build(config, seed=5)
    again.load_state_dict(copies, strict=True)
    assert all(torch.equal(v, state[k]) for k, v in again.state_dict().items())
    assert again.day.backbone.vit is again.night.backbone.vit


def test_equal_tensors_of_a_model_that_shares_nothing_stay_apart(config: dict) -> None:
    model = build(config, share_backbone=False)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    tie_tensors(state, model.state_dict())
    places = {value.data_ptr() for value in state.values() if value.numel()}
    assert len(places) == len(state)


def test_an_export_is_a_complete_network(config: dict) -> None:
    model = build(config, type='WithTeachers')
    train(model, 1)
    exported, left_out = model.export_branch('night')
    plain = MODELS.build(ConfigDict(config['segmentor']))
    plain.load_state_dict(exported, strict=True)
    images = torch.randn(1, 3, 50, 70)
    for module in (plain, model):
        module.eval()
    with torch.no_grad():
        assert torch.equal(plain(images), model(images))
    assert not any(key.startswith('night.') for key in left_out)
    vit = sum(value.numel() for value in plain.backbone.vit.state_dict().values())
    trained = sum(parameter.numel() for parameter in plain.parameters())
    assert count_parameters(plain) == vit + trained > trained


def test_a_plain_checkpoint_starts_all(config: dict) -> None:
    torch.manual_seed(7)
    plain = MODELS.build(ConfigDict(config['segmentor']))
    plain.init_weights()
    model = build(config)
    model.load_state_dict(plain.state_dict(), strict=False)
    for name in model.networks:
        state = model.network(name).state_dict()
        assert all(torch.equal(v, state[k]) for k, v in plain.state_dict().items())


def test_one_loaded_network_keeps_its_vit_when_the_rest_is_initialised(config: dict) -> None:
    trained = build(config, seed=7)
    init_default_scope('mmseg')
    model = MODELS.build(ConfigDict(copy.deepcopy(config)))
    night = {k: v for k, v in trained.state_dict().items() if k.startswith('night.')}
    model.load_state_dict(night, strict=False)
    model.init_weights()
    assert all(torch.equal(v, night[k]) for k, v in model.state_dict().items() if k in night)


def test_a_checkpoint_with_two_different_vits_is_refused(config: dict) -> None:
    state = build(config, share_backbone=False).state_dict()
    state['night.backbone.vit.cls_token'] = state['night.backbone.vit.cls_token'] + 1
    with pytest.raises(ValueError) as error:
        build(config).load_state_dict(state)
    assert str(error.value) == (
        'the checkpoint has other weights for night.backbone.vit.cls_token than for day.backbone.vit.cls_token, but '
        'with share_backbone=True the two are one: set model.share_backbone=False, or start from the checkpoint of '
        'one network.'
    )
    build(config, share_backbone=False).load_state_dict(state)


def test_a_backbone_without_a_frozen_part_is_refused(model_config: dict) -> None:
    with pytest.raises(ValueError) as error:
        build(model_config, share_backbone=True)
    assert str(error.value) == (
        'share_backbone=True needs a backbone with a part that is not trained, as ReinVisionTransformer has, and '
        'ResNet has none: set model.share_backbone=False.'
    )


def test_copies_are_tied_where_checkpoints_are_written(config: dict, tmp_path: Path) -> None:
    from mmseg_ccdistill.engine.hooks import AtomicCheckpointHook

    class Runner:
        model = build(config)

        class message_hub:  # noqa: N801
            @staticmethod
            def state_dict() -> dict:
                return {}

    copies = {key: value.clone() for key, value in Runner.model.state_dict().items()}
    checkpoint = dict(state_dict=copies, meta={})
    AtomicCheckpointHook(interval=1).before_save_checkpoint(Runner, checkpoint)
    state = checkpoint['state_dict']
    name = 'backbone.vit.cls_token'
    assert state[f'day.{name}'].data_ptr() == state[f'night.{name}'].data_ptr()
    name = 'backbone.rein.scale'
    assert state[f'day.{name}'].data_ptr() != state[f'night.{name}'].data_ptr()
