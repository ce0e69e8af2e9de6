from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmseg.models.backbones import VisionTransformer
from public_dinov2 import block_outputs, random_dinov2
from torch.nn import functional as F

from mmseg_ccdistill.models.backbones import ReinVisionTransformer
from mmseg_ccdistill.models.backbones.dinov2_keys import convert_dinov2_keys
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY

SMALL: dict[str, Any] = dict(
    embed_dims=12, num_layers=3, num_heads=3, img_size=70, patch_size=14, num_tokens=5, rank=2
)


def small(**changes: Any) -> ReinVisionTransformer:
    torch.manual_seed(0)
    model = ReinVisionTransformer(**{**SMALL, **changes})
    model.init_weights()
    return model


def without_adapters(model: ReinVisionTransformer) -> ReinVisionTransformer:
    torch.nn.init.zeros_(model.rein.scale)
    return model


def test_without_its_adapters_it_is_dinov2() -> None:
    state = random_dinov2()
    model = without_adapters(small(out_indices=(0, 1, 2)).double())
    model.vit.load_state_dict(convert_dinov2_keys(state), strict=True)
    images = torch.randn(2, 3, 70, 70, dtype=torch.float64)
    for ours, theirs in zip(model(images), block_outputs(state, images, 3), strict=True):
        assert (ours - theirs).abs().max() < 1e-12 * theirs.abs().max()


@pytest.mark.parametrize('mode', [True, False])
def test_without_its_adapters_it_is_the_network_of_mmseg(mode: bool) -> None:
    """Also where positions are resized, and with a gradient as without one."""
    model = without_adapters(small(out_indices=(0, 2)).double())
    plain = VisionTransformer(
        img_size=70,
        patch_size=14,
        patch_pad=0,
        patch_bias=True,
        embed_dims=12,
        num_layers=3,
        num_heads=3,
        out_indices=(0, 2),
        norm_cfg=dict(type='LN', eps=1e-6),
    ).double()
    plain.load_state_dict(model.vit.state_dict(), strict=True)
    plain.train(mode)
    images = torch.randn(2, 3, 56, 84, dtype=torch.float64)
    for ours, theirs in zip(model.train(mode)(images), plain(images), strict=True):
        assert ours.shape == (2, 12, 4, 6)
        assert (ours - theirs).abs().max() < 1e-12 * theirs.abs().max()


def test_adapters_come_after_every_block_and_before_the_next() -> None:
    model = small(out_indices=(0, 1, 2)).double()
    model.rein.scale.data.fill_(0.7)
    images = torch.randn(1, 3, 70, 70, dtype=torch.float64)
    x = model.vit.patch_embed(images)[0]
    x = torch.cat([model.vit.cls_token, x], 1) + model.vit.pos_embed
    for number, (layer, found) in enumerate(zip(model.vit.layers, model(images), strict=True)):
        x = model.rein(layer(x), number)
        assert torch.allclose(found.flatten(2).transpose(1, 2), x[:, 1:], atol=1e-12)


def test_a_grid_with_as_many_patches_gets_positions_of_its_own() -> None:
    """4 x 16 patches where 8 x 8 are stored."""
    model = without_adapters(small(img_size=112, num_layers=1).double())
    torch.nn.init.zeros_(model.vit.patch_embed.projection.weight)
    torch.nn.init.zeros_(model.vit.patch_embed.projection.bias)
    for layer in (model.vit.layers[0].attn.attn.out_proj, model.vit.layers[0].ffn.layers[1]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    across = torch.arange(8, dtype=torch.float64).expand(8, 8).reshape(1, 64, 1)
    model.vit.pos_embed[:, 1:] = across
    (found,) = model(torch.zeros(1, 3, 4 * 14, 16 * 14, dtype=torch.float64))
    columns = F.interpolate(across.reshape(1, 1, 8, 8), (4, 16), mode='bicubic')[0, 0]
    assert torch.allclose(found[0, 0], columns, atol=1e-12)
    assert found[0, 0, 0, 15] > 6.9 > 1 > found[0, 0, 0, 0]


@pytest.mark.parametrize(
    ('patch', 'side', 'grid'), [(14, 518, (39, 69)), (16, 512, (34, 60))], ids=['14', '16']
)
def test_540_by_960(patch: int, side: int, grid: tuple[int, int]) -> None:
    model = small(patch_size=patch, img_size=side, num_layers=1)
    (found,) = model(torch.zeros(1, 3, 540, 960))
    assert found.shape == (1, 12, *grid)


def test_an_enlarged_image_keeps_its_places() -> None:
    """An image of 62 x 70 is what the same scene of 70 x 70 would be: no shift towards the padding."""
    model = without_adapters(small(num_layers=1).double())
    ramp = torch.linspace(0, 1, 62, dtype=torch.float64).view(1, 1, 62, 1).expand(1, 3, 62, 70)
    whole = F.interpolate(ramp, (70, 70), mode='bilinear', align_corners=False)
    assert torch.equal(model(ramp)[0], model(whole)[0])
    (first,) = model(ramp)
    assert first.shape == (1, 12, 5, 5)


def test_only_the_adapters_learn_and_the_vit_stays_in_evaluation_mode() -> None:
    model = small()
    before = {k: v.clone() for k, v in model.vit.state_dict().items()}
    assert model.train() is model and model.training and model.rein.training
    assert not any(module.training for module in model.vit.modules())
    assert model.eval() is model and not model.rein.training
    assert {name.split('.')[0] for name, _ in model.named_parameters()} == {'rein'}
    optimizer = torch.optim.AdamW(model.train().parameters(), lr=1.0, weight_decay=0.5)
    (found,) = model(torch.randn(1, 3, 70, 70))
    found.square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters())
    optimizer.step()
    assert all(torch.equal(v, before[k]) for k, v in model.vit.state_dict().items())
    assert {f'vit.{k}' for k in before} < set(model.state_dict())


def test_nothing_is_kept_before_the_first_adapter() -> None:
    """The first block has no trained weight before it, so its activations are free."""
    model = small(num_layers=1)
    x = model.vit.patch_embed(torch.zeros(1, 3, 70, 70))[0]
    assert not model.vit.layers[0](x).requires_grad


def save(path: Path, **options: int) -> Path:
    weights = {k: v.float() for k, v in convert_dinov2_keys(random_dinov2(), **options).items()}
    torch.save(dict(meta={OWN_KEY: '0'}, state_dict=weights), path)
    return path


def test_starts_from_converted_weights(tmp_path: Path) -> None:
    path = save(tmp_path / 'vit.pth', patch_size=16, image_size=96)
    model = small(
        img_size=96, patch_size=16, init_cfg=dict(type='Pretrained', checkpoint=str(path))
    )
    expected = torch.load(path, weights_only=True)['state_dict']
    assert all(torch.equal(v, expected[k]) for k, v in model.vit.state_dict().items())
    model.vit.cls_token.zero_()
    model.init_weights()  # a second time it must not undo anything
    assert not model.vit.cls_token.any()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(img_size=98, patch_size=14),
            'vit.pth: pos_embed has shape (1, 26, 12), the network of model.backbone expects (1, 50, 12) (None: '
            'there is no such tensor); write the weights of its size, patches and images with python '
            'tools/model_converters/dinov2_to_mmseg.py SRC DST --patch-size 14 --image-size 98',
        ),
        (dict(patch_size=16, img_size=80), 'patch_embed.projection.weight has shape (12, 3, 14, 14)'),
        (dict(num_layers=4), 'layers.3.ln1.weight has shape None'),
        (dict(num_layers=2), 'layers.2.ln1.weight has shape (12,), the network of model.backbone expects None'),
        (dict(embed_dims=24), 'cls_token has shape (1, 1, 12)'),
    ],
)  # fmt: skip
def test_weights_of_another_network(tmp_path: Path, changes: dict, message: str) -> None:
    path = save(tmp_path / 'vit.pth')
    with pytest.raises(ValueError) as error:
        small(init_cfg=dict(type='Pretrained', checkpoint=str(path)), **changes)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(img_size=512), 'img_size=512 is no whole number of patches of 14: set img_size to 518, or'),
        (dict(num_heads=5), '12 channels are no whole number for each of 5 heads'),
        (dict(num_tokens=1), 'num_tokens must be at least 2, because the first adds nothing, got 1'),
        (dict(rank=0), 'rank must be a positive integer, got 0'),
        (dict(patch_size=0), 'patch_size must be a positive integer, got 0'),
        (dict(out_indices=()), 'out_indices=(): expected numbers of its 3 blocks'),
        (dict(out_indices=(1, 3)), 'take some from 0 to 2, or -1'),
        (dict(out_indices=(2, 1)), 'ascending order'),
        (dict(out_indices=(2, -1)), 'each once'),
        (dict(init_cfg=dict(type='Kaiming')), "expected dict(type='Pretrained', checkpoint=...), got {'type'"),
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together(changes: dict, message: str) -> None:
    with pytest.raises(ValueError) as error:
        small(**changes)
    assert message in str(error.value)
