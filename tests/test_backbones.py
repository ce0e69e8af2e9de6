"""Every sibling of the paper's config: what it changes, its size, one training step, its learning rates."""

from __future__ import annotations

import functools
import inspect
import re
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from domain_batch import domain_batch
from meta_device import meta_device
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS, init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from parameter_rates import parameter_rates
from shrink import shrink
from test_configs import changed
from torch import nn

import mmseg_ccdistill  # noqa: F401

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
PAPER = CONFIGS / 'ccdistill/refinenet_r101_cs2dz.py'

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
}


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
}


@dataclass(frozen=True)
class Published:
    """Sizes from outside this repository.

    Attributes:
        backbone: Parameters in millions.
        decode_head: Parameters of the decode head, counted by hand.
        channels: Channels of F_D.
        side: Side of F_D for a crop of 512 px.
    """

    backbone: float
    decode_head: int
    channels: int
    side: int


def conv(inputs: int, outputs: int, kernel: int) -> int:
    """Parameters of a convolution without bias and its batch normalisation."""
    return inputs * outputs * kernel**2 + 2 * outputs


SEGFORMER_HEAD = (
    sum(conv(width, 256, 1) for width in (64, 128, 320, 512))
    + conv(4 * 256, 256, 1)
    + 256 * 19
    + 19
)
UPER_HEAD = (
    4 * conv(1024, 512, 1)  # pyramid pooling
    + conv(1024 + 4 * 512, 512, 3)
    + sum(conv(width, 512, 1) for width in (128, 256, 512))
    + 3 * conv(512, 512, 3)
    + conv(4 * 512, 512, 3)
    + 512 * 19
    + 19
)
SIBLINGS = {
    # torchvision: 25,557,032 parameters with the classifier's 2,049,000.
    'refinenet_r50': Published(23.508032, 75_547_667, 2048, 16),
    # torchvision: 44,549,160 with the classifier's 2,049,000. Stride 8 and pooling that rounds up.
    'deeplabv2_r101': Published(42.500160, 4 * (9 * 2048 * 19 + 19), 2048, 65),
    # SegFormer, Table 1: encoders of 24.2 M and 81.4 M.
    'segformer_mit-b2': Published(24.2, SEGFORMER_HEAD, 512, 16),
    'segformer_mit-b5': Published(81.4, SEGFORMER_HEAD, 512, 16),
    # Swin, Table 1: 88 M (timm: 87.768224 M) with the classifier's 1,025,000 and one norm layer, here four.
    'upernet_swin-b': Published(
        87.768224 - 1.025 + 2 * (128 + 256 + 512) / 1e6, UPER_HEAD, 1024, 16
    ),
}
NAMES = list(SIBLINGS)


def family(name: str) -> str:
    return name.split('_')[0]


def adaptation(name: str) -> Path:
    return CONFIGS / f'ccdistill/{name}_cs2dz.py'


def source_only(name: str) -> Path:
    return CONFIGS / f'{family(name)}/{name}_cityscapes.py'


def load(path: Path) -> Config:
    cfg = Config.fromfile(str(path))
    init_default_scope(cfg.default_scope)
    return cfg


@functools.cache
def small_config(name: str) -> Config:
    return shrink(load(adaptation(name)))


def small_model(name: str) -> tuple[Config, nn.Module]:
    cfg = small_config(name)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    return cfg, model


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_every_sibling_is_tested() -> None:
    shipped = {path.stem for path in CONFIGS.glob('ccdistill/*_cs2dz.py')} - {PAPER.stem}
    assert shipped == {f'{name}_cs2dz' for name in NAMES}


@pytest.mark.parametrize('name', NAMES)
def test_changes_only_the_segmentor_and_its_recipe(name: str) -> None:
    assert len(adaptation(name).read_text().splitlines()) < 25
    paper, sibling = load(PAPER), load(adaptation(name))
    new = set(sibling) - set(paper)  # variables of the bases
    assert not new & set(inspect.signature(Runner.__init__).parameters)
    keys = [key for key in changed(paper, sibling) if key.split('.')[0] not in new]
    allowed = (
        'model.segmentor.',
        'model.projection_head.in_channels',
        'optim_wrapper.optimizer.',
        'optim_wrapper.paramwise_cfg.',
        'param_scheduler.',
        'load_from',
    )
    assert keys and not [key for key in keys if not key.startswith(allowed)]


@pytest.mark.parametrize('name', NAMES)
def test_starts_from_its_source_only_stage(name: str) -> None:
    source, sibling = load(source_only(name)), load(adaptation(name))
    assert sibling.load_from == (
        f'work_dirs/{source_only(name).stem}/iter_{source.train_cfg.max_iters}.pth'
    )
    assert source.model.backbone.init_cfg.checkpoint.startswith('https://')
    del source.model.backbone['init_cfg']
    assert source.model.to_dict() == sibling.model.segmentor.to_dict()
    # What the weights were trained on is what both stages feed.
    plain, cross = dict(source.model.data_preprocessor), dict(sibling.model.data_preprocessor)
    assert plain.pop('type') == 'SegDataPreProcessor'
    assert cross.pop('type') == 'CrossDomainPreprocessor'
    assert plain == cross


@pytest.mark.parametrize('name', NAMES)
def test_full_width(name: str) -> None:
    expected = SIBLINGS[name]
    cfg = load(adaptation(name))
    with meta_device():
        model = MODELS.build(cfg.model)
    day, night = model.day, model.night
    # Published numbers in units of 0.1 M.
    assert count(night.backbone) / 1e6 == pytest.approx(expected.backbone, abs=0.05)
    assert count(night.decode_head) == expected.decode_head
    auxiliary = count(night.auxiliary_head) if night.with_auxiliary_head else 0
    assert auxiliary == (conv(512, 256, 3) + 256 * 19 + 19 if family(name) == 'upernet' else 0)
    assert count(day) == count(night) == count(night.backbone) + expected.decode_head + auxiliary
    width = expected.channels
    assert count(model.projection_head) == width * width + width + width * 256 + 256
    assert count(model) == 2 * count(night) + count(model.projection_head)
    night.eval()
    feature = night.backbone(torch.empty(1, 3, 512, 512, device='meta'))[model.feature_index]
    assert feature.shape == (1, width, expected.side, expected.side)


@pytest.mark.parametrize('name', NAMES)
def test_training_steps_reach_every_parameter(name: str) -> None:
    cfg, model = small_model(name)
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    model.train()
    learnt = set()
    for step in range(2):  # norm layers that start at zero let nothing through in the first one
        batch = model.data_preprocessor(domain_batch(seed=step), training=True)
        total, log = model.parse_losses(model(**batch, mode='loss'))
        assert torch.isfinite(total)
        expected = {
            'source_day.loss_seg',
            'source_night.loss_seg',
            'target_night.loss_pseudo',
            'cross.loss_cdc_js',
            'cross.loss_cdc_illu',
            'cross.loss_cdc_in',
            'cross.loss_cds',
        }
        if family(name) == 'upernet':
            expected |= {'source_day.aux.loss_seg', 'source_night.aux.loss_seg'}
        assert {key for key in log if 'loss_' in key} == expected
        wrapper.backward(total)
        for key, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None and parameter.grad.isfinite().all(), key
                if parameter.grad.any():
                    learnt.add(key)
            else:
                assert family(name) == 'deeplabv2' and parameter.grad is None, key
        wrapper.step()
        wrapper.zero_grad()
    assert learnt == {key for key, p in model.named_parameters() if p.requires_grad}


def show(name: str, rates: dict[str, tuple[float, float]]) -> None:
    print(f'\n{name}: learning rate, weight decay')
    for key, (rate, decay) in rates.items():
        print(f'  {rate:8.1e} {decay:8.1e}  {key}')


@pytest.mark.parametrize('name', NAMES)
def test_learning_rates_are_those_of_the_published_recipe(name: str) -> None:
    """Run with ``-s`` to see the table."""
    cfg, model = small_model(name)
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


@pytest.mark.parametrize('name', NAMES)
def test_exchanges_weights_with_a_plain_segmentor(name: str) -> None:
    """The source-only checkpoint starts both branches; the night branch goes back, bit by bit."""
    cfg, model = small_model(name)
    torch.manual_seed(1)
    plain = MODELS.build(cfg.model.segmentor)
    plain.init_weights()
    model.load_state_dict(plain.state_dict(), strict=False)
    exported, left_behind = model.export_branch('night')
    assert all(key.startswith(('day.', 'projection_head.')) for key in left_behind)
    again = MODELS.build(cfg.model.segmentor)
    again.load_state_dict(exported, strict=True)
    images = torch.randn(1, 3, 64, 96)
    for module in (plain, again, model):
        module.eval()
    with torch.no_grad():
        expected = plain(images)
        assert torch.equal(again(images), expected) and torch.equal(model(images), expected)


@pytest.mark.parametrize('name', ['segformer_mit-b2', 'upernet_swin-b'])
def test_a_wrong_width_is_named(name: str) -> None:
    cfg = load(adaptation(name))
    cfg.model.projection_head.in_channels = 2048
    right = SIBLINGS[name].channels
    with (
        pytest.raises(ValueError, match=f'set model.projection_head.in_channels={right} '),
        meta_device(),
    ):
        MODELS.build(cfg.model)


def test_which_heads_have_a_feature() -> None:
    for name, channels in (('upernet_swin-b', 512), ('deeplabv2_r101', 2048)):
        cfg = load(adaptation(name))
        cfg.model.feature = 'decode_head'
        cfg.model.projection_head.in_channels = channels
        shrunken = shrink(cfg)
        model = MODELS.build(shrunken.model)
        losses = model(**model.data_preprocessor(domain_batch(), training=True), mode='loss')
        assert torch.isfinite(losses['cross.loss_cds'])
    cfg = load(adaptation('segformer_mit-b2'))
    cfg.model.feature = 'decode_head'
    with pytest.raises(ValueError, match='SegformerHead has none'), meta_device():
        MODELS.build(cfg.model)


def test_the_worked_example_of_the_docs(tmp_path: Path) -> None:
    """docs/backbones.md adds SegNeXt-T: 4.3 M parameters in its paper."""
    page = (CONFIGS.parent / 'docs/backbones.md').read_text()
    shutil.copytree(CONFIGS, tmp_path / 'configs')
    for block in re.findall(r'```python\n(.*?)```', page, re.DOTALL):
        text = textwrap.dedent(block)
        name = re.match(r'# (configs/\S+)\n', text)
        if name is not None:
            (tmp_path / name[1]).write_text(text)
    cfg = load(tmp_path / 'configs/ccdistill/segnext_mscan-t_cs2dz.py')
    with meta_device():
        model = MODELS.build(cfg.model)
    assert count(model.night) / 1e6 == pytest.approx(4.3, abs=0.1)
    rates = parameter_rates(model, build_optim_wrapper(model, cfg.optim_wrapper))
    assert rates['night.decode_head.conv_seg.weight'][0] == pytest.approx(6e-4)
    assert rates['projection_head.conv1.weight'][0] == 6e-5
