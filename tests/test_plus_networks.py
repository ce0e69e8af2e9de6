"""Matched distillation and self-training on other networks: settings, one frozen ViT for all, a small one, cost."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import torch
from domain_batch import domain_batch
from meta_device import meta_device
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from test_cost import GIB
from test_vit_cost import fused
from timm_there import needs_timm

from benchmarks.iteration_cost import meta_samples
from benchmarks.shrink import shrink
from benchmarks.step_cost import count_step
from mmseg_ccdistill.domains import DOMAINS

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / 'configs/ccdistill'
#: Channels of the map that a decoder compares.
WIDTHS = {'dinov2_vit-s_rein': 96, 'dinov2_vit-b_rein': 192, 'dinov2_vit-l_rein': 256}
WIDTHS |= {name.replace('dinov2', 'dinov3'): width for name, width in WIDTHS.items()}
WIDTHS |= {'refinenet_r50': 256, 'upernet_swin-b': 512, 'deeplabv2_r101': 2048}
#: Those that can be built with what is installed.
BUILT = [
    pytest.param(name, marks=needs_timm) if name.startswith('dinov3') else name for name in WIDTHS
]


def load(name: str) -> Config:
    config = Config.fromfile(str(CONFIGS / f'{name}_cs2dz_plus.py'))
    init_default_scope('mmseg')
    return config


def with_draws(samples: dict, device: str) -> None:
    for domain in ('target_day', 'target_night'):
        for sample in samples[domain]:
            sample.set_field(torch.rand(19, device=device), 'mix_classes')


@pytest.mark.parametrize('name', WIDTHS)
def test_the_network_is_that_of_the_plain_config_and_the_rest_that_of_refinenet(name: str) -> None:
    config = load(name)
    plain = Config.fromfile(str(CONFIGS / f'{name}_cs2dz.py'))
    refinenet = Config.fromfile(str(CONFIGS / 'refinenet_r101_cs2dz_plus.py'))
    assert config.model.segmentor == plain.model.segmentor
    assert config.model.get('share_backbone') == plain.model.get('share_backbone')
    for key in ('load_from', 'optim_wrapper', 'param_scheduler', 'train_cfg'):
        assert config[key] == plain[key], key
    for key in ('distill_into', 'feature', 'loss_cdc', 'loss_cds', 'self_training'):
        assert config.model[key] == refinenet.model[key], key
    assert config.train_dataloader == refinenet.train_dataloader
    head = dict(refinenet.model.projection_head, in_channels=WIDTHS[name])
    assert config.model.projection_head == head


@pytest.mark.parametrize('name', BUILT)
def test_a_small_one_learns_every_term(name: str) -> None:
    """DINOv2 and DINOv3: of four networks there is one ViT."""
    config = shrink(load(name))
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    model.train()
    networks = [*model.branches.values(), *model.self_training.teachers.values()]
    shared = {id(getattr(network.backbone, 'vit', network.backbone)) for network in networks}
    assert len(networks) == 4 and len(shared) == (1 if name.startswith('dino') else 4)
    for step in (10, 11):
        model.set_iteration(step, 12)
        batch = domain_batch(seed=step)
        with_draws(batch['data_samples'], 'cpu')
        batch = model.data_preprocessor(batch, training=True)
        total, log = model.parse_losses(model(**batch, mode='loss'))
        assert {'night.loss_mix', 'target_night.loss_pseudo', 'cross.loss_cdc_js'} <= set(log)
        assert torch.isfinite(total)
        wrapper.backward(total)
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        wrapper.step()
        wrapper.zero_grad()


@pytest.mark.slow
@pytest.mark.parametrize('name', BUILT)
def test_what_an_iteration_costs(name: str) -> None:
    """As test_vit_cost.py counts it; the rows of docs/backbones.md."""
    with meta_device():
        model = MODELS.build(load(name).model).to('meta').train()
    model.diagnostics_interval = 0
    model.set_iteration(40000, 50000)
    inputs = {domain: torch.empty(2, 3, 512, 512, device='meta') for domain in DOMAINS}
    samples = {domain: meta_samples(domain.startswith('source')) for domain in DOMAINS}
    with_draws(samples, 'meta')
    with mock.patch('torch.nn.functional.scaled_dot_product_attention', fused):
        cost = count_step(model, inputs, samples)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    row = (
        f'| `{name}_cs2dz_plus` | {trained / 1e6:.2f} M | {cost.flops / 1e12:.2f} TFLOP | '
        f'{cost.saved_bytes / GIB:.2f} GiB |'
    )
    assert row in (ROOT / 'docs/backbones.md').read_text(), row
