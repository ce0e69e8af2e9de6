"""LayerScale folded into the layer before it: the same function, in mmseg's network."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from mmseg.models.backbones import VisionTransformer
from public_dinov2 import block_outputs, random_dinov2
from torch import Tensor

from mmseg_ccdistill.models.backbones.dinov2_keys import convert_dinov2_keys

HEADS = 3


def mmseg_network(
    weights: dict[str, Tensor], image_size: int, patch: int = 14
) -> VisionTransformer:
    network = VisionTransformer(
        img_size=image_size,
        patch_size=patch,
        patch_pad=0,
        embed_dims=12,
        num_layers=3,
        num_heads=HEADS,
        out_indices=(0, 1, 2),
        norm_cfg=dict(type='LN', eps=1e-6),
        patch_bias=True,
    ).double()
    network.load_state_dict(weights, strict=True)
    network.eval()  # returns nothing
    return network


def test_agrees_with_the_public_network() -> None:
    state = random_dinov2()
    images = torch.randn(2, 3, 70, 70, dtype=torch.float64)
    expected = block_outputs(state, images, HEADS)
    found = mmseg_network(convert_dinov2_keys(state), 70)(images)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours - theirs).abs().max() < 1e-12 * theirs.abs().max()


def test_names_of_timm_without_mask_token() -> None:
    state = random_dinov2()
    with_token = convert_dinov2_keys(state)
    del state['mask_token']
    without = convert_dinov2_keys(state)
    assert without.keys() == with_token.keys() and len(without) == 4 + 3 * 12
    assert all(torch.equal(without[k], with_token[k]) for k in without)


def test_agrees_with_timm() -> None:
    timm = pytest.importorskip('timm', reason='timm is not installed')
    torch.manual_seed(0)
    theirs = timm.create_model(
        'vit_small_patch14_dinov2', embed_dim=12, depth=3, num_heads=HEADS, img_size=70
    ).double()
    for name, parameter in theirs.named_parameters():
        torch.nn.init.normal_(parameter, std=0.05 if 'patch_embed' in name else 0.5)
    images = torch.randn(2, 3, 70, 70, dtype=torch.float64)
    theirs.eval()
    expected = theirs.forward_intermediates(images, norm=False, intermediates_only=True)
    found = mmseg_network(convert_dinov2_keys(theirs.state_dict()), 70)(images)
    for ours, their in zip(found, expected, strict=True):
        assert (ours - their).abs().max() < 1e-12 * their.abs().max()


@pytest.mark.parametrize(
    ('width', 'depth', 'heads', 'parameters'),
    [(384, 12, 6, 22_046_208), (768, 12, 12, 86_559_744), (1024, 24, 16, 304_316_416)],
)
def test_sizes_of_the_published_networks(
    width: int, depth: int, heads: int, parameters: int
) -> None:
    """The public ones have 9,984, 19,968 and 51,200 more: LayerScale, the final norm, and no mask token in timm."""
    with torch.device('meta'):
        kernel = torch.empty(width, 3, 14, 14)
        state = random_shapes(width, depth)
        state['patch_embed.proj.weight'] = kernel
        converted = convert_dinov2_keys(state)
    assert sum(v.numel() for v in converted.values()) == parameters
    public = sum(v.numel() for k, v in state.items() if k != 'mask_token')
    assert public - parameters == 2 * depth * width + 2 * width


def random_shapes(width: int, depth: int) -> dict[str, Tensor]:
    """Shapes of a public network with 37 x 37 positions, without values."""
    small = random_dinov2(width=12, depth=1, patch=1, grid=1)
    state = {}
    for name, value in small.items():
        shape = [width * (side // 12) if side % 12 == 0 else side for side in value.shape]
        if name == 'pos_embed':
            shape = [1, 37**2 + 1, width]
        for block in range(depth if name.startswith('blocks') else 1):
            state[name.replace('blocks.0', f'blocks.{block}')] = torch.empty(shape)
    return state


def cubic(values: list[float], size: int, index: int) -> float:
    """Keys' cubic convolution with a = -0.75 at the centre of one of ``size`` cells, by hand; not near a border."""
    at = (index + 0.5) * len(values) / size - 0.5
    left = math.floor(at)
    t = at - left
    a = -0.75
    near = [(a + 2) * d**3 - (a + 3) * d**2 + 1 for d in (t, 1 - t)]
    far = [a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a for d in (1 + t, 2 - t)]
    weights = [far[0], *near, far[1]]
    return sum(w * v for w, v in zip(weights, values[left - 1 : left + 3], strict=True))


def test_a_resized_kernel_and_positions() -> None:
    """Rows along the width against the cubic by hand; the class token keeps its position."""
    state = random_dinov2(grid=37)
    steps = [float((3 * i) % 7) for i in range(37)]
    row = torch.tensor(steps, dtype=torch.float64)
    state['patch_embed.proj.weight'] = row[:14].expand(12, 3, 14, 14).clone()
    across = row.expand(37, 37).reshape(1, -1, 1)
    state['pos_embed'] = torch.cat([torch.full((1, 1, 12), 7.0), across.expand(-1, -1, 12)], 1)
    converted = convert_dinov2_keys(state, patch_size=16, image_size=512)
    kernel, positions = converted['patch_embed.projection.weight'], converted['pos_embed']
    assert kernel.shape == (12, 3, 16, 16) and positions.shape == (1, 32**2 + 1, 12)
    for index in (3, 8, 11):
        assert kernel[4, 2, 5, index].item() == pytest.approx(cubic(steps[:14], 16, index))
    assert (positions[:, 0] == 7.0).all()
    grid = positions[0, 1:].reshape(32, 32, 12)
    for index in (3, 16, 27):
        assert grid[9, index, 3].item() == pytest.approx(cubic(steps, 32, index))
    larger = convert_dinov2_keys(state, patch_size=16, image_size=1024)['pos_embed']
    assert larger.shape == (1, 64**2 + 1, 12)
    network = mmseg_network(converted, 512, patch=16)
    assert network.pos_embed.shape[1] == 1025


def test_half_precision_is_resized_in_float32() -> None:
    state = {k: v.half() for k, v in random_dinov2().items()}
    converted = convert_dinov2_keys(state, patch_size=16, image_size=96)
    assert {v.dtype for v in converted.values()} == {torch.float16}
    exact = convert_dinov2_keys({k: v.float() for k, v in state.items()}, 16, 96)['pos_embed']
    assert torch.equal(converted['pos_embed'], exact.half())


def drop(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.pop(name)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            lambda s: s.update(register_tokens=torch.zeros(1, 4, 12)),
            'it has register tokens (register_tokens), which a VisionTransformer of MMSegmentation does not: expected '
            'DINOv2 without registers; take dinov2_vits14, dinov2_vitb14 or dinov2_vitl14',
        ),
        (
            lambda s: s.update(reg_token=torch.zeros(1, 4, 12)),
            'it has register tokens (reg_token), which',
        ),
        (
            drop('blocks.1.attn.proj.bias'),
            '1 tensors are missing (blocks.1.attn.proj.bias): expected the 46 tensors of a DINOv2 of 3 blocks without '
            'registers; download the file again, or take one of its authors or of timm',
        ),
        (drop('blocks.2.ls2.gamma'), '1 tensors are missing (blocks.2.ls2.gamma)'),
        (
            lambda s: s.update({'head.weight': torch.zeros(1000, 12)}),
            '1 are none of DINOv2 (head.weight)',
        ),
        (
            lambda s: s.update({'blocks.0.mlp.fc1.weight': torch.zeros(36, 12)}),
            '1 have another shape (blocks.0.mlp.fc1.weight: (36, 12) for (48, 12))',
        ),
        (
            lambda s: s.update(pos_embed=torch.zeros(1, 24, 12)),
            '1 have another shape (pos_embed: (1, 24, 12) for (1, 17, 12))',
        ),
        (drop('pos_embed'), 'expected the weights of DINOv2 (patch_embed.proj.weight, pos_embed'),
        (
            lambda s: s.update({'blocks.0.mlp.w12.weight': torch.zeros(2, 12)}),
            'its blocks have a gated layer (mlp.w12)',
        ),
        (lambda s: s.clear(), 'its first tensor is nothing: expected the weights of DINOv2'),
        (
            lambda s: [s.pop(k) for k in list(s) if k.endswith('gamma')],
            'its first tensor is cls_token: expected the weights of DINOv2',
        ),
    ],
)
def test_weights_of_another_network(change: Callable, message: str) -> None:
    state = random_dinov2()
    change(state)
    with pytest.raises(ValueError) as error:
        convert_dinov2_keys(state)
    assert message in str(error.value)


def test_sizes_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match='no whole number of patches of 16: .*; take 512$'):
        convert_dinov2_keys(random_dinov2(), patch_size=16, image_size=518)
    with pytest.raises(ValueError, match='no whole number of patches of 14: .*; take 14$'):
        convert_dinov2_keys(random_dinov2(), image_size=0)
    with pytest.raises(ValueError, match='a patch has 0 pixels'):
        convert_dinov2_keys(random_dinov2(), patch_size=0)
    assert (
        math.isqrt(convert_dinov2_keys(random_dinov2(), image_size=518)['pos_embed'].shape[1]) == 37
    )
