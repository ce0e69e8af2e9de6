"""The published self-training recipe on MiT-B5: rates, settings, cost, and steps of a small one."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import torch
from domain_batch import domain_batch
from meta_device import meta_device
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmseg.registry import MODELS
from parameter_rates import parameter_rates
from test_cost import GIB
from test_vit_cost import fused
from torch import nn

from benchmarks.iteration_cost import meta_samples
from benchmarks.shrink import shrink
from benchmarks.step_cost import count_step
from mmseg_ccdistill.domains import DOMAINS

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs/ccdistill/segformer_mit-b5_cs2dz_plus.py'


def load() -> Config:
    config = Config.fromfile(str(CONFIG))
    init_default_scope('mmseg')
    return config


def test_the_learning_rate_is_the_published_one() -> None:
    """6e-5 (1 - i / 40000), over the first 1500 iterations times a line from a millionth to 1."""
    config = load()
    layer = nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=config.optim_wrapper.optimizer.lr)
    schedulers = [
        PARAM_SCHEDULERS.build(dict(entry), default_args=dict(optimizer=optimizer))
        for entry in config.param_scheduler
    ]
    assert config.train_cfg.max_iters == 40000
    expected = {
        0: 6e-11, 750: 2.94375294375e-5, 1499: 5.7712999038501e-5, 1500: 5.775e-5, 20000: 3e-5, 40000: 0.0
    }  # fmt: skip
    for iteration in range(40001):
        if iteration in expected:
            rate = optimizer.param_groups[0]['lr']
            assert rate == pytest.approx(expected[iteration], rel=1e-9, abs=1e-15), iteration
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()


def test_it_is_the_recipe_of_daformer_refign_and_mic() -> None:
    config = load()
    own = config.model.self_training
    assert (own.lag, own.start, own.ramp, own.fusion) == (999, 0, 0, 'refign')
    assert own.weight.to_dict() == dict(type='PseudoLabelWeight', form='ratio', threshold=0.968)
    assert own.augment is True and own.masked_ratio == 0.7
    assert config.train_dataloader.sampler.rare_classes.to_dict() == dict(
        temperature=0.01, min_pixels=3000, crop_ratio=0.5, tries=11
    )
    assert config.train_dataloader.batch_size == 2 and tuple(config.crop_size) == (512, 512)
    (draw,) = [
        s for s in config.train_dataloader.dataset.pipeline if s['type'] == 'DrawMixing'
    ]  # fmt: skip
    assert draw['block'] == 32
    steps = {s.type: s for s in config.train_dataloader.dataset.source.pipeline}
    scaled = steps['RandomResize']
    assert (scaled.scale, scaled.ratio_range) == ((1024, 512), (1.0, 1.0))
    assert steps['RandomCrop'].cat_max_ratio == 0.75
    assert config.model.segmentor.decode_head.loss_decode.class_weight is None
    with meta_device():
        model = MODELS.build(config.model)
    rates = parameter_rates(model, build_optim_wrapper(model, config.optim_wrapper))
    assert rates['night.backbone.layers.0.1.0.attn.attn.in_proj_weight'][0] == 6e-5
    assert rates['night.decode_head.conv_seg.weight'][0] == pytest.approx(6e-4)
    assert not any(name.startswith(('self_training', 'projection_head')) for name in rates)


@pytest.mark.parametrize('size', ['b2', 'b5'])
def test_the_network_is_that_of_the_plain_config(size: str) -> None:
    ours, plain = (
        Config.fromfile(str(CONFIG.with_name(f'segformer_mit-{size}_cs2dz{end}.py')))
        for end in ('_plus', '')
    )
    plain.model.segmentor.decode_head.loss_decode.class_weight = None
    assert ours.model.segmentor == plain.model.segmentor
    assert (ours.load_from, ours.optim_wrapper) == (plain.load_from, plain.optim_wrapper)
    assert ours.model.self_training == load().model.self_training
    assert ours.train_dataloader == load().train_dataloader


def with_draws(batch: dict, device: str = 'cpu') -> dict:
    for domain in ('target_day', 'target_night'):
        for sample in batch['data_samples'][domain]:
            for name, shape in dict(mix_classes=(19,), mix_look=(5,), mix_patches=(2, 2)).items():
                sample.set_field(torch.rand(shape, device=device), name)
    return batch


def test_steps_of_a_small_one_reach_every_parameter() -> None:
    config = shrink(load())
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    for name, parameter in model.named_parameters():
        if name.endswith(
            'bias'
        ):  # zeros would leave nothing of a hidden patch: no network of ImageNet has them
            nn.init.normal_(parameter, std=0.1)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    model.train()
    for step in range(2):
        model.set_iteration(step, 40000)
        batch = model.data_preprocessor(with_draws(domain_batch(seed=step)), training=True)
        total, log = model.parse_losses(model(**batch, mode='loss'))
        assert {key for key in log if 'loss_' in key} == {
            *('source_day.loss_seg', 'source_night.loss_seg'),
            *('night.loss_mix', 'night.loss_masked', 'day.loss_mix', 'day.loss_masked'),
        }
        assert torch.isfinite(total)
        wrapper.backward(total)
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        wrapper.step()
        wrapper.zero_grad()


@pytest.mark.slow
def test_what_an_iteration_costs() -> None:
    """As test_vit_cost.py counts it; the row of docs/backbones.md."""
    config = load()
    with meta_device():
        model = MODELS.build(config.model).to('meta').train()
    model.diagnostics_interval = 0
    model.set_iteration(20000, 40000)
    inputs = {domain: torch.empty(2, 3, 512, 512, device='meta') for domain in DOMAINS}
    samples = {domain: meta_samples(domain.startswith('source')) for domain in DOMAINS}
    with_draws(dict(data_samples=samples), 'meta')
    for domain in ('target_day', 'target_night'):
        for sample in samples[domain]:
            sample.set_field(torch.empty(16, 16, device='meta'), 'mix_patches')
    with mock.patch('torch.nn.functional.scaled_dot_product_attention', fused):
        cost = count_step(model, inputs, samples)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    teachers = sum(b.numel() for b in model.self_training.teachers.buffers())
    row = next(
        line
        for line in (ROOT / 'docs/backbones.md').read_text().splitlines()
        if '| `segformer_mit-b5_cs2dz_plus`' in line and 'TFLOP' in line
    )
    assert [cell.strip() for cell in row.strip('|').split('|')][1:] == [
        f'{trained / 1e6:.1f} M',
        f'{teachers / 1e6:.1f} M',
        f'{cost.flops / 1e12:.2f} TFLOP',
        f'{cost.saved_bytes / GIB:.2f} GiB',
        f'{4 * (4 * trained + teachers) / GIB:.2f} GiB',
    ]
