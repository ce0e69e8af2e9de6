"""Learning rate and weight decay of every parameter, in the paper's siblings as in a plain segmentor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from mmseg.registry import MODELS
from parameter_rates import parameter_rates
from test_backbones import CONFIGS, NAMES, adaptation, family, load, small_model, source_only
from torch import nn

from benchmarks.shrink import shrink

SGD = dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4)
ADAMW = dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01)

#: Recipes as published, for a plain segmentor. SegFormer's and Swin's are those of MMSegmentation's configs, where
#: 'head' can only mean the decode head; DeepLab-v2's is AdaptSegNet's.
RECIPES: dict[str, dict[str, Any]] = {
    'refinenet': dict(optimizer=SGD),  # the paper: one group
    'deeplabv2': dict(
        optimizer=SGD,
        paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=10.0)}),
    ),
    'segformer': dict(
        optimizer=ADAMW,
        paramwise_cfg=dict(
            custom_keys={
                'pos_block': dict(decay_mult=0.0),
                'norm': dict(decay_mult=0.0),
                'head': dict(lr_mult=10.0),
            }
        ),
    ),
    'upernet': dict(
        optimizer=ADAMW,
        paramwise_cfg=dict(
            custom_keys={
                'absolute_pos_embed': dict(decay_mult=0.0),
                'relative_position_bias_table': dict(decay_mult=0.0),
                'norm': dict(decay_mult=0.0),
            }
        ),
    ),
    # Rein's config for crops of 512.
    'dinov2': dict(
        optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
        paramwise_cfg=dict(
            custom_keys={
                'norm': dict(decay_mult=0.0),
                'tokens_a': dict(decay_mult=0.0),
                'tokens_b': dict(decay_mult=0.0),
                'scale': dict(decay_mult=0.0),
            }
        ),
    ),
}

RECIPES['dinov3'] = RECIPES['dinov2']


#: One parameter of each kind, so that the recipes are not only compared with one another.
PINNED: dict[str, dict[str, tuple[float, float]]] = {
    'refinenet': {'decode_head.conv_seg.weight': (2.5e-4, 5e-4)},
    'deeplabv2': {
        'backbone.conv1.weight': (2.5e-4, 5e-4),
        'decode_head.conv_seg.branches.3.bias': (2.5e-3, 5e-4),
    },
    'segformer': {
        'backbone.layers.0.1.0.attn.attn.in_proj_weight': (6e-5, 0.01),
        'backbone.layers.0.1.0.norm1.weight': (6e-5, 0.0),
        'decode_head.fusion_conv.bn.weight': (6e-4, 0.01),
    },
    'upernet': {
        'backbone.stages.0.blocks.1.attn.w_msa.qkv.weight': (6e-5, 0.01),
        'backbone.stages.0.blocks.1.attn.w_msa.relative_position_bias_table': (6e-5, 0.0),
        'backbone.norm3.bias': (6e-5, 0.0),
        'auxiliary_head.conv_seg.weight': (6e-5, 0.01),
    },
    'dinov2': {
        'backbone.rein.tokens_a': (1e-4, 0.0),
        'backbone.rein.tokens_b': (1e-4, 0.0),
        'backbone.rein.scale': (1e-4, 0.0),
        'backbone.rein.to_delta.weight': (1e-4, 0.05),
        'decode_head.up1.weight': (1e-4, 0.05),
        'decode_head.norm3.weight': (1e-4, 0.0),
    },
}

PINNED['dinov3'] = PINNED['dinov2']


def show(name: str, rates: dict[str, tuple[float, float]]) -> None:
    print(f'\n{name}: learning rate, weight decay')
    for key, (rate, decay) in rates.items():
        print(f'  {rate:8.1e} {decay:8.1e}  {key}')


@pytest.mark.parametrize('name', NAMES)
def test_learning_rates_are_those_of_the_published_recipe(name: str) -> None:
    """Run with ``-s`` to see the table."""
    cfg, model = small_model(adaptation(name))
    rates = parameter_rates(model, build_optim_wrapper(model, cfg.optim_wrapper))
    show(name, rates)
    plain = MODELS.build(cfg.model.segmentor)
    published = ConfigDict(type='OptimWrapper', **RECIPES[family(name)])
    expected = parameter_rates(plain, build_optim_wrapper(plain, published))
    assert set(rates) == {key for key, p in model.named_parameters() if p.requires_grad}
    for branch in ('day', 'night'):
        ours = {k[len(branch) + 1 :]: v for k, v in rates.items() if k.startswith(f'{branch}.')}
        assert ours == expected
        for key, pinned in PINNED[family(name)].items():
            assert ours[key] == pytest.approx(pinned), key
    head = {k: v for k, v in rates.items() if k.startswith('projection_head.')}
    optimizer = RECIPES[family(name)]['optimizer']
    assert len(head) == 4 and set(head.values()) == {(optimizer['lr'], optimizer['weight_decay'])}
    if family(name) != 'refinenet':  # its source-only stage has rates of its own
        source = load(source_only(name))
        wrapper = build_optim_wrapper(plain, source.optim_wrapper)
        assert parameter_rates(plain, wrapper) == expected


def test_the_small_network_starts_at_the_rates_of_the_mini_schedule() -> None:
    """From random weights in both places, the decoder as fast as the backbone."""
    source = load(source_only('refinenet_small'))
    plain = MODELS.build(shrink(source).model)
    rates = parameter_rates(plain, build_optim_wrapper(plain, source.optim_wrapper))
    assert len(rates) == len(list(plain.parameters())) and set(rates.values()) == {(1e-3, 0.01)}
    mini = load(CONFIGS / 'refinenet/refinenet_small_mini.py')
    assert source.optim_wrapper.optimizer == mini.optim_wrapper.optimizer


@pytest.mark.parametrize('name', ['segformer_mit-b5', 'upernet_swin-b'])
@pytest.mark.parametrize('stage', [source_only, adaptation])
def test_warm_up_and_linear_decay(name: str, stage: Any) -> None:
    cfg = load(stage(name))
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(part), default_args=dict(optimizer=optimizer))
        for part in cfg.param_scheduler
    ]
    end = cfg.train_cfg.max_iters
    assert cfg.param_scheduler[-1].end == end
    rates = []
    for _ in range(2000):
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    for iteration in (0, 1, 750, 1500, 1999):
        warm_up = 1e-6 + (1 - 1e-6) * min(iteration / 1500, 1)
        decay = 1 - max(iteration - 1500, 0) / (end - 1500)
        assert rates[iteration] == pytest.approx(6e-5 * warm_up * decay, rel=1e-3)
