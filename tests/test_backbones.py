"""Every sibling of the paper's config: what it changes, its size, one training step."""

from __future__ import annotations

import functools
import inspect
import re
import shutil
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from domain_batch import domain_batch
from lite_package import skip_unless_buildable
from meta_device import meta_device
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS
from parameter_rates import parameter_rates
from test_configs import changed
from torch import nn

import mmseg_ccdistill  # noqa: F401
from benchmarks.shrink import shrink
from mmseg_ccdistill.runtime.work_dir import default_work_dir

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
PAPER = CONFIGS / 'ccdistill/refinenet_r101_cs2dz.py'


@dataclass(frozen=True)
class Published:
    """Sizes from outside this repository.

    Attributes:
        backbone: Parameters; in units of 0.1 M where only so many digits are published.
        decode_head: Parameters of the decode head, counted by hand.
        channels: Channels of F_D.
        side: Side of F_D for a crop of 512 px.
    """

    backbone: int
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


def refinenet_head(
    in_channels: tuple[int, ...], widths: tuple[int, ...], rcus: int, crp_stages: int
) -> int:
    """Parameters of a RefineNet decoder; both deep to shallow, 3x3 convolutions throughout.

    ``rcus`` counts the residual units of one block, before the fusion and after the pooling.
    """
    total = 9 * widths[-1] * 19 + 19
    for level, (channels, width) in enumerate(zip(in_channels, widths, strict=True)):
        deepest, shallowest = level == 0, level == len(widths) - 1
        total += 9 * channels * width  # to the block's width
        total += rcus * (2 * 9 * width**2 + width)  # the first of two convolutions has a bias
        total += crp_stages * 9 * width**2
        total += 0 if deepest else 9 * width**2  # its side of the fusion
        total += 0 if shallowest else 9 * width * widths[level + 1]  # the other side, a block later
    return total


def per_pixel_head(channels: int) -> int:
    """Parameters of two transposed 2x2 convolutions, a 3x3 one, three layer norms and the classifier."""
    half, quarter = channels // 2, channels // 4
    return (
        4 * channels * half + 4 * half * quarter + 9 * quarter**2
        + 2 * (half + quarter + quarter)
        + quarter * 19 + 19
    )  # fmt: skip


SIBLINGS = {
    # torchvision: 25,557,032 parameters with the classifier's 2,049,000.
    'refinenet_r50': Published(25_557_032 - 2_049_000, 75_547_667, 2048, 16),
    # torchvision's ResNet-18: 11,689,512 with the classifier's 513,000; 9,408 are the stem's, 9,600 the norms'.
    'refinenet_small': Published(
        (11_689_512 - 513_000 - 9_408 - 9_600) // 4 + 9_408 // 2 + 9_600 // 2,
        refinenet_head((256, 128, 64, 32), (64, 32, 32, 32), 2, 2),
        256,
        32,
    ),
    # torchvision: 44,549,160 with the classifier's 2,049,000. Stride 8 and pooling that rounds up.
    'deeplabv2_r101': Published(44_549_160 - 2_049_000, 4 * (9 * 2048 * 19 + 19), 2048, 65),
    # SegFormer, Table 1: encoders of 24.2 M and 81.4 M.
    'segformer_mit-b2': Published(24_200_000, SEGFORMER_HEAD, 512, 16),
    'segformer_mit-b5': Published(81_400_000, SEGFORMER_HEAD, 512, 16),
    # Swin, Table 1: 88 M (timm: 87,768,224) with the classifier's 1,025,000 and one norm layer, here four.
    'upernet_swin-b': Published(
        87_768_224 - 1_025_000 + 2 * (128 + 256 + 512), UPER_HEAD, 1024, 16
    ),
    # Rein's paper, without the link to queries: 2.53 M of L. The frozen ViT holds no parameter.
    'dinov2_vit-s_rein': Published(388_609, per_pixel_head(384), 384, 32),
    'dinov2_vit-b_rein': Published(1_347_841, per_pixel_head(768), 768, 32),
    'dinov2_vit-l_rein': Published(2_530_817, per_pixel_head(1024), 1024, 32),
    'dinov3_vit-s_rein': Published(388_609, per_pixel_head(384), 384, 32),
    'dinov3_vit-b_rein': Published(1_347_841, per_pixel_head(768), 768, 32),
    'dinov3_vit-l_rein': Published(2_530_817, per_pixel_head(1024), 1024, 32),
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
def small_config(path: Path) -> Config:
    return shrink(load(path))


def small_model(path: Path) -> tuple[Config, nn.Module]:
    skip_unless_buildable(load(path).model)
    cfg = small_config(path)
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
        'model.share_backbone',
        'optim_wrapper.optimizer.',
        'optim_wrapper.paramwise_cfg.',
        'param_scheduler.',
        'load_from',
    )
    assert keys and not [key for key in keys if not key.startswith(allowed)]


@pytest.mark.parametrize('name', NAMES)
def test_starts_from_its_source_only_stage(name: str) -> None:
    source, sibling = load(source_only(name)), load(adaptation(name))
    folder = default_work_dir(str(source_only(name)))
    assert sibling.load_from == f'{folder}/iter_{source.train_cfg.max_iters}.pth'
    start = source.model.backbone.pop('init_cfg', None)
    if name == 'refinenet_small':
        assert start is None  # there are no ImageNet weights of this width
    elif family(name) == 'dinov3':  # timm's, of the size of the network
        arch = sibling.model.segmentor.backbone.model_name
        assert arch[4] == name[len('dinov3_vit-')] and start.checkpoint == f'timm://{arch}.lvd1689m'
    elif family(name) == 'dinov2':  # converted by the user
        assert re.fullmatch(r'pretrained/dinov2_vit[sbl]14_p16_512\.pth', start.checkpoint)
        assert name[len('dinov2_vit-')] == start.checkpoint[len('pretrained/dinov2_vit')]
    else:
        assert start.checkpoint.startswith('https://')
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
    skip_unless_buildable(cfg.model)
    with meta_device():
        model = MODELS.build(cfg.model)
    day, night = model.day, model.night
    rounding = 50_000 if family(name) == 'segformer' else 0
    assert abs(count(night.backbone) - expected.backbone) <= rounding
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


def test_the_hand_count_gives_the_size_of_the_public_decoder() -> None:
    assert refinenet_head((2048, 1024, 512, 256), (512, 256, 256, 256), 5, 4) == 75_547_667


def test_deeplabv2_has_a_stride_of_8_frozen_norms_and_four_classifiers() -> None:
    """Stride and norms are those of AdaptSegNet's code, the sum of four is the DeepLab-v2 paper's."""
    with meta_device():
        model = MODELS.build(load(adaptation('deeplabv2_r101')).model)
    backbone = model.night.backbone
    middle = {name: m for name, m in backbone.named_modules() if name.endswith('.conv2')}
    assert {(name.split('.')[0], m.dilation) for name, m in middle.items()} == {
        (f'layer{stage}', (step, step)) for stage, step in enumerate((1, 1, 2, 4), 1)
    }
    assert [name for name, m in middle.items() if m.stride != (1, 1)] == ['layer2.0.conv2']
    norms = {
        f'backbone.{name}.{kind}'
        for name, module in backbone.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for kind in ('weight', 'bias')
    }
    frozen = {name for name, p in model.night.named_parameters() if not p.requires_grad}
    assert frozen == norms and len(norms) == 208
    assert model.align_corners is True and model.night.decode_head.conv_seg.num_active == 4


# What self-training adds, its draws and its teachers, is tested in test_self_training.py.
TRAINED = sorted(p for p in CONFIGS.glob('ccdistill/*.py') if not p.stem.endswith('_plus'))


#: Settings of mixed precision, which MMEngine builds beside a GPU alone.
_MIXED = ('dtype', 'loss_scale')


@pytest.mark.parametrize('path', TRAINED, ids=lambda path: path.stem)
def test_training_steps_reach_every_parameter(path: Path) -> None:
    """Of the paper's config, its siblings and their variants; tests/test_ablations.py has the rows of Table 3."""
    cfg, model = small_model(path)
    settings = {key: cfg.optim_wrapper[key] for key in cfg.optim_wrapper if key not in _MIXED}
    wrapper = build_optim_wrapper(model, dict(settings, type='OptimWrapper'))
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
        if family(path.stem) == 'upernet':
            expected |= {'source_day.aux.loss_seg', 'source_night.aux.loss_seg'}
        assert {key for key in log if 'loss_' in key} == expected
        wrapper.backward(total)
        for key, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None and parameter.grad.isfinite().all(), key
                if parameter.grad.any():
                    learnt.add(key)
            else:
                frozen = ('deeplabv2_', 'refinenet_efficientnet-lite0_')  # their norm layers
                assert path.stem.startswith(frozen) and parameter.grad is None, key
        wrapper.step()
        wrapper.zero_grad()
    assert learnt == {key for key, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize('name', NAMES)
def test_exchanges_weights_with_a_plain_segmentor(name: str) -> None:
    """The source-only checkpoint starts both branches; the night branch goes back, bit by bit."""
    cfg, model = small_model(adaptation(name))
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
