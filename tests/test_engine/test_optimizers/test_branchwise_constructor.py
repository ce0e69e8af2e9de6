"""Layer-wise learning-rate decay of mmseg on a model of two branches."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from domain_batch import domain_batch
from mmengine.config import ConfigDict
from mmengine.model import BaseModule
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from parameter_rates import parameter_rates
from torch import Tensor, nn

import mmseg_ccdistill  # noqa: F401

BASE_LR, WEIGHT_DECAY = 1e-4, 0.05
RATE = 0.5  # large enough to tell neighbouring layers apart at a glance

BEIT = dict(
    type='BEiT',
    img_size=64,
    embed_dims=16,
    num_layers=4,
    num_heads=2,
    out_indices=[1, 3],
)


@MODELS.register_module()
class SmallConvNeXt(BaseModule):
    """Parameters named as in ConvNeXt; mmseg's constructor knows the backbone by its class name."""

    def __init__(self, widths: tuple[int, ...] = (4, 8, 12, 16), depth: int = 4) -> None:
        super().__init__()
        inputs = (3, *widths)
        self.downsample_layers = nn.ModuleList(
            nn.Conv2d(inputs[i], inputs[i + 1], 2, stride=2) for i in range(4)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*[nn.Conv2d(width, width, 3, padding=1) for _ in range(depth)])
            for width in widths
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        maps = []
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(down(x))
            maps.append(x)
        return tuple(maps)


CONVNEXT = dict(type='SmallConvNeXt')


def segmentor(backbone: dict[str, Any]) -> dict[str, Any]:
    return dict(
        type='EncoderDecoder',
        backbone=backbone,
        decode_head=dict(
            type='FCNHead',
            in_channels=16,
            in_index=-1,
            channels=8,
            num_convs=1,
            num_classes=19,
            norm_cfg=dict(type='BN'),
            loss_decode=dict(type='WeightedCrossEntropyLoss'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    )


def ccdistill(backbone: dict[str, Any]) -> nn.Module:
    init_default_scope('mmseg')
    return MODELS.build(
        ConfigDict(
            type='CCDistillSegmentor',
            data_preprocessor=dict(type='CrossDomainPreprocessor', size=(64, 64)),
            segmentor=segmentor(backbone),
            projection_head=dict(type='ProjectionHead', in_channels=16, out_channels=8),
            loss_cdc=dict(type='CDCLoss'),
            loss_cds=dict(type='CDSLoss'),
            loss_pseudo=dict(type='StaticLoss'),
        )
    )


def plain(backbone: dict[str, Any]) -> nn.Module:
    init_default_scope('mmseg')
    return MODELS.build(ConfigDict(segmentor(backbone)))


def recipe(name: str, **paramwise: Any) -> dict[str, Any]:
    return dict(
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=BASE_LR, weight_decay=WEIGHT_DECAY),
        constructor=name,
        paramwise_cfg=paramwise,
    )


RECIPES = {
    'beit-layer-wise': (
        BEIT,
        'LearningRateDecayOptimizerConstructor',
        dict(num_layers=4, decay_rate=RATE, decay_type='layer_wise'),
    ),
    'beit-deprecated': (
        BEIT,
        'LayerDecayOptimizerConstructor',
        dict(num_layers=4, layer_decay_rate=RATE),
    ),
    'convnext-layer-wise': (
        CONVNEXT,
        'LearningRateDecayOptimizerConstructor',
        dict(num_layers=6, decay_rate=RATE, decay_type='layer_wise'),
    ),
    'convnext-stage-wise': (
        CONVNEXT,
        'LearningRateDecayOptimizerConstructor',
        dict(num_layers=6, decay_rate=RATE, decay_type='stage_wise'),
    ),
}


@pytest.mark.parametrize('name', RECIPES)
def test_each_branch_has_the_rates_of_a_plain_segmentor(name: str) -> None:
    backbone, constructor, paramwise = RECIPES[name]
    model, reference = ccdistill(backbone), plain(backbone)
    expected = parameter_rates(
        reference, build_optim_wrapper(reference, recipe(constructor, **paramwise))
    )
    assert len({rate for rate, _ in expected.values()}) >= 5  # it does decay by layer
    wrapper = build_optim_wrapper(
        model, recipe('BranchwiseOptimWrapperConstructor', constructor=constructor, **paramwise)
    )
    rates = parameter_rates(model, wrapper)
    assert len(rates) == len(list(model.parameters()))
    for branch in ('day', 'night'):
        ours = {n[len(branch) + 1 :]: r for n, r in rates.items() if n.startswith(f'{branch}.')}
        assert ours == expected
    head = {n: r for n, r in rates.items() if n.startswith('projection_head.')}
    assert len(head) == 4 and set(head.values()) == {(BASE_LR, WEIGHT_DECAY)}
    # No parameter is stepped twice, and the names in the log are the model's own.
    logged = Counter(n for g in wrapper.optimizer.param_groups for n in g['param_names'])
    assert logged == Counter(name for name, _ in model.named_parameters())


def test_a_plain_segmentor_gets_the_plain_recipe() -> None:
    backbone, constructor, paramwise = RECIPES['beit-layer-wise']
    model = plain(backbone)
    direct = build_optim_wrapper(model, recipe(constructor, **paramwise))
    wrapped = build_optim_wrapper(
        model, recipe('BranchwiseOptimWrapperConstructor', constructor=constructor, **paramwise)
    )
    assert parameter_rates(model, wrapped) == parameter_rates(model, direct)


def test_rates_of_beit_in_numbers() -> None:
    """BEiT: the embedding is layer 0, block k layer k + 1, the head the last of num_layers + 2."""
    backbone, constructor, paramwise = RECIPES['beit-layer-wise']
    model = ccdistill(backbone)
    rates = parameter_rates(
        model,
        build_optim_wrapper(
            model, recipe('BranchwiseOptimWrapperConstructor', constructor=constructor, **paramwise)
        ),
    )
    for name, factor in {
        'backbone.cls_token': 0.5**5,
        'backbone.patch_embed.projection.weight': 0.5**5,
        'backbone.layers.0.attn.qkv.weight': 0.5**4,
        'backbone.layers.3.attn.qkv.weight': 0.5,
        'decode_head.conv_seg.weight': 1.0,
    }.items():
        assert rates[f'night.{name}'][0] == pytest.approx(BASE_LR * factor)


def test_a_training_step_and_a_resumed_optimizer() -> None:
    backbone, constructor, paramwise = RECIPES['convnext-stage-wise']
    config = recipe('BranchwiseOptimWrapperConstructor', constructor=constructor, **paramwise)
    torch.manual_seed(0)
    model = ccdistill(backbone)
    wrapper = build_optim_wrapper(model, dict(config))
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    model.train_step(domain_batch(), wrapper)
    assert all(not torch.equal(before[name], p) for name, p in model.named_parameters())
    resumed = build_optim_wrapper(model, dict(config))
    resumed.load_state_dict(wrapper.state_dict())
    assert parameter_rates(model, resumed) == parameter_rates(model, wrapper)


@pytest.mark.parametrize('paramwise', [None, {}, dict(decay_rate=0.9)])
def test_a_recipe_without_its_constructor_is_an_error(paramwise: dict[str, Any] | None) -> None:
    model = plain(CONVNEXT)
    config = recipe('BranchwiseOptimWrapperConstructor')
    config['paramwise_cfg'] = paramwise
    with pytest.raises(ValueError, match='must name the constructor of the plain recipe'):
        build_optim_wrapper(model, config)
