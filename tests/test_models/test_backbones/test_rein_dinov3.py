from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from timm_there import needs_timm
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_ccdistill.engine.start_up_checks import check_initial_weights
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.backbones import ReinDINOv3, timm_package
from mmseg_ccdistill.models.segmentors.frozen_network import count_parameters
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY
from mmseg_ccdistill.runtime.meta_device import meta_device

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
SMALL: dict[str, Any] = dict(embed_dims=16, num_layers=3, num_heads=2, num_tokens=5, rank=2)


def timm_network(**sizes: int) -> nn.Module:
    """timm's own, small, with LayerScale that lets the blocks through."""
    import timm

    torch.manual_seed(3)
    network = timm.create_model(
        'vit_small_patch16_dinov3', **{**dict(embed_dim=16, depth=3, num_heads=2), **sizes}
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network.eval()


def small(**changes: Any) -> ReinDINOv3:
    torch.manual_seed(0)
    model = ReinDINOv3(**{**SMALL, **changes})
    model.init_weights()
    return model


def without_adapters(model: ReinDINOv3) -> ReinDINOv3:
    nn.init.zeros_(model.rein.scale)
    return model


def save(path: Path, weights: dict[str, Tensor]) -> Path:
    torch.save(dict(meta={OWN_KEY: '0'}, state_dict=weights), path)
    return path


def authors_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of the published checkpoints, with what timm leaves out of them."""
    renamed = {
        name.replace('reg_token', 'storage_tokens')
        .replace('gamma_1', 'ls1.gamma')
        .replace('gamma_2', 'ls2.gamma'): value
        for name, value in weights.items()
    }
    width = weights['cls_token'].shape[-1]
    for name in [name for name in weights if name.endswith('attn.qkv.weight')]:
        renamed[name.replace('weight', 'bias')] = torch.zeros(3 * width)
        renamed[name.replace('weight', 'bias_mask')] = torch.zeros(3 * width)
    renamed['mask_token'] = torch.zeros(1, width)
    renamed['rope_embed.periods'] = torch.ones(2)
    return renamed


@needs_timm
@pytest.mark.parametrize('size', [(64, 64), (48, 96), (16, 80)], ids=str)
@pytest.mark.parametrize('mode', [True, False], ids=['train', 'eval'])
def test_without_its_adapters_it_is_the_network_of_timm(size: tuple[int, int], mode: bool) -> None:
    theirs = timm_network()
    model = without_adapters(small(out_indices=(0, 1, 2))).train(mode)
    model.vit.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 3, *size)
    with torch.no_grad():
        last, maps = theirs.forward_intermediates(images, indices=[0, 1, 2])
        found = model(images)
        normed = model.vit.norm(found[2].flatten(2).transpose(1, 2))
    assert all(map_.abs().mean() > 0.05 for map_ in maps)
    for ours, expected in zip(found, maps, strict=True):
        assert ours.shape == (2, 16, size[0] // 16, size[1] // 16)
        assert (ours - expected).abs().max() < 1e-5 * expected.abs().max()
    assert (normed - last[:, 5:]).abs().max() < 1e-5 * last.abs().max()
    assert torch.equal(last, theirs.forward_features(images))


@needs_timm
def test_adapters_come_after_every_block_and_leave_class_token_and_registers() -> None:
    model = small(out_indices=(0, 1, 2)).double()
    model.rein.scale.data.fill_(0.7)
    images = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    x, grid = model.tokens(images)
    assert x.shape == (1, 5 + 6, 16) and grid == (2, 3)
    rope = model.vit.rope.get_embed(shape=[2, 3])
    for number, (block, found) in enumerate(zip(model.vit.blocks, model(images), strict=True)):
        before = block(x, rope=rope)
        x = model.rein(before, number)
        assert torch.equal(x[:, :5], before[:, :5]) and not torch.equal(x[:, 5:], before[:, 5:])
        assert torch.allclose(found.flatten(2).transpose(1, 2), x[:, 5:], atol=1e-12)


@needs_timm
def test_540_by_960_is_enlarged_as_for_dinov2() -> None:
    model = without_adapters(small(num_layers=1))
    (found,) = model(torch.zeros(1, 3, 540, 960))
    assert found.shape == (1, 16, 34, 60)
    images = torch.rand(1, 3, 60, 64)
    whole = F.interpolate(images, (64, 64), mode='bilinear', align_corners=False)
    assert torch.equal(model(images)[0], model(whole)[0])


@needs_timm
def test_only_the_adapters_learn_and_the_vit_stays_in_evaluation_mode() -> None:
    model = small()
    before = {k: v.clone() for k, v in model.vit.state_dict().items()}
    assert model.train() is model and model.rein.training
    assert not any(module.training for module in model.vit.modules())
    assert {name.split('.')[0] for name, _ in model.named_parameters()} == {'rein'}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, weight_decay=0.5)
    (found,) = model(torch.randn(1, 3, 64, 64))
    found.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in model.vit.state_dict().items())
    assert {f'vit.{k}' for k in before} < set(model.state_dict())


@needs_timm
def test_autocast_gives_what_float32_gives_but_for_its_rounding() -> None:
    model = small()
    model.vit.load_state_dict(timm_network().state_dict())
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        (exact,) = model(images)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            (rounded,) = model(images)
    assert (rounded.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


@needs_timm
@pytest.mark.parametrize(
    ('size', 'frozen', 'trained'),
    [
        ('small', 21_586_944, 388_609),
        ('base', 85_641_216, 1_347_841),
        ('large', 303_079_424, 2_530_817),
    ],
)
def test_sizes(size: str, frozen: int, trained: int) -> None:
    with meta_device():
        model = ReinDINOv3(f'vit_{size}_patch16_dinov3')
    assert count_parameters(model.vit) == frozen and not list(model.vit.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == trained


@needs_timm
@pytest.mark.parametrize('names', ['timm', 'authors'])
def test_starts_from_a_file_of_either_names(
    names: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = timm_network().state_dict()
    weights = expected if names == 'timm' else authors_names(expected)
    path = save(tmp_path / 'vit.pth', weights)
    model = small(init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    assert all(torch.equal(v, expected[k]) for k, v in model.vit.state_dict().items())
    assert 'attribute' not in capsys.readouterr().out
    model.vit.cls_token.zero_()
    model.init_weights()  # a second time it must not undo anything
    assert not model.vit.cls_token.any()


@needs_timm
def test_starts_from_timms_name_without_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    expected = timm_network().state_dict()
    monkeypatch.setattr(timm.models, 'load_state_dict_from_hf', lambda name: expected)
    address = 'timm://vit_small_patch16_dinov3.lvd1689m'
    model = small(init_cfg=dict(type='Pretrained', checkpoint=address))
    assert all(torch.equal(v, expected[k]) for k, v in model.vit.state_dict().items())


@needs_timm
@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(num_layers=4), 'blocks.3.gamma_1 has shape None'),
        (dict(num_layers=2), 'blocks.2.gamma_1 has shape (16,), the network of model.backbone expects None'),
        (
            dict(embed_dims=24),
            'vit.pth: cls_token has shape (1, 1, 16), the network of model.backbone expects (1, 1, 24) (None: there '
            'is no such tensor); take the weights of vit_small_patch16_dinov3: '
            "checkpoint='timm://vit_small_patch16_dinov3.lvd1689m', or the file model.safetensors of that name",
        ),
    ],
)  # fmt: skip
def test_weights_of_another_network(tmp_path: Path, changes: dict, message: str) -> None:
    path = save(tmp_path / 'vit.pth', timm_network().state_dict())
    with pytest.raises(UserInputError) as error:
        small(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **changes)
    assert message in str(error.value)


@needs_timm
@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(model_name='resnet50'), "ReinDINOv3: model_name='resnet50': expected one of vit_7b_patch16_dinov3, "),
        (dict(model_name='vit_small_patch16_dinov3.lvd1689m'), 'take vit_small_patch16_dinov3, vit_base_patch16_'),
        (dict(num_heads=3), '16 channels are no multiple of 4 for each of 3 heads, and a rotation takes four'),
        (dict(num_heads=None), 'embed_dims=16 and num_heads=None: expected both or neither'),
        (dict(num_layers=0), 'ReinDINOv3: num_layers must be a positive integer, got 0'),
        (dict(num_tokens=1), 'ReinDINOv3: num_tokens must be at least 2'),
        (dict(rank=0), 'ReinDINOv3: rank must be a positive integer, got 0'),
        (dict(out_indices=(1, 3)), 'ReinDINOv3: out_indices=(1, 3): expected numbers of its 3 blocks'),
        (dict(init_cfg=dict(type='Kaiming')), "expected dict(type='Pretrained', checkpoint=...), got {'type'"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together(changes: dict, message: str) -> None:
    with pytest.raises(UserInputError) as error:
        small(**changes)
    assert message in str(error.value)


def test_without_timm_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f'No module named {name!r}', name=name)

    monkeypatch.setattr(timm_package, 'import_module', missing)
    sentence = (
        'ReinDINOv3 needs the package timm, which is not installed; install it with pip install '
        "'mmseg-ccdistill[timm]'"
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        ReinDINOv3()


@pytest.mark.parametrize('size', ['small', 'base', 'large'])
def test_the_configs_name_timms_network_and_its_weights(size: str) -> None:
    """Without timm, as the check before a run reads them."""
    width = dict(small=384, base=768, large=1024)[size]
    cfg = Config.fromfile(str(CONFIGS / f'dinov3/dinov3_vit-{size[0]}_rein_cityscapes.py'))
    check_initial_weights(cfg)
    assert cfg.model.backbone == dict(
        type='ReinDINOv3',
        model_name=f'vit_{size}_patch16_dinov3',
        init_cfg=dict(type='Pretrained', checkpoint=f'timm://vit_{size}_patch16_dinov3.lvd1689m'),
    )
    assert cfg.model.decode_head.in_channels == width
    adapted = Config.fromfile(str(CONFIGS / f'ccdistill/dinov3_vit-{size[0]}_rein_cs2dz.py'))
    assert adapted.model.share_backbone and adapted.model.projection_head.in_channels == width
    assert adapted.model.segmentor.backbone == dict(
        type='ReinDINOv3', model_name=f'vit_{size}_patch16_dinov3'
    )
