"""Weights of a public DINOv2 network, translated to MMSegmentation's ``VisionTransformer``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import UserInputError

#: Layers of one block, public name to ours; weight and bias each. Both publishers use the same names.
_LAYERS = {
    'norm1': 'ln1',
    'attn.qkv': 'attn.attn.in_proj_',
    'attn.proj': 'attn.attn.out_proj',
    'norm2': 'ln2',
    'mlp.fc1': 'ffn.layers.0.0',
    'mlp.fc2': 'ffn.layers.1',
}
#: LayerScale and the layer whose outputs it multiplies.
_SCALES = {'ls1.gamma': 'attn.proj', 'ls2.gamma': 'mlp.fc2'}
#: What a backbone without final norm has no place for: the norm before DINO's heads and the token of masked patches.
_UNUSED = ('norm.weight', 'norm.bias', 'mask_token')
#: Register tokens, as DINOv2's authors and as timm call them.
_REGISTERS = ('register_tokens', 'reg_token')


def convert_dinov2_keys(
    state_dict: Mapping[str, Tensor], patch_size: int | None = None, image_size: int | None = None
) -> dict[str, Tensor]:
    r"""Weights of DINOv2 without registers under the names of MMSegmentation's ``VisionTransformer``.

    That network has no LayerScale. A branch of a block ends in a linear layer, so its factors go into that layer
    and the function stays the same: :math:`\gamma \odot (W x + b) = (\mathrm{diag}(\gamma) W) x + \gamma \odot b`.

    Resizing is that of Rein (Wei et al., CVPR 2024): bicubic, corners not aligned, without antialiasing.

    Args:
        state_dict: Names of facebookresearch/dinov2 or of timm to tensors.
        patch_size: Side of a patch in pixels to resize the first kernel to. Defaults to None: as it is, 14.
        image_size: Side in pixels of the square images for which positions are stored; they are resized to one for
            each patch. Defaults to None: as they are, 37 x 37, which is 518 pixels in patches of 14.

    Returns:
        Names to tensors; ``norm`` and ``mask_token`` are left out.

    Raises:
        UserInputError: If it is another network, has registers, lacks a tensor, has one too many or one of a wrong
            shape, ``patch_size`` is not positive, or ``image_size`` is no whole number of patches.
    """
    for name in _REGISTERS:
        if name in state_dict:
            raise UserInputError(
                f'it has register tokens ({name}), which a VisionTransformer of MMSegmentation does not: expected '
                'DINOv2 without registers; take dinov2_vits14, dinov2_vitb14 or dinov2_vitl14'
            )
    shapes = _expected_shapes(state_dict)
    _check(state_dict, shapes)
    result = {
        'cls_token': state_dict['cls_token'],
        'pos_embed': state_dict['pos_embed'],
        'patch_embed.projection.weight': state_dict['patch_embed.proj.weight'],
        'patch_embed.projection.bias': state_dict['patch_embed.proj.bias'],
    }
    for block in range(_depth(state_dict)):
        source, target = f'blocks.{block}.', f'layers.{block}.'
        for public, ours in _LAYERS.items():
            for kind in ('weight', 'bias'):
                name = f'{ours}{kind}' if ours.endswith('_') else f'{ours}.{kind}'
                result[target + name] = state_dict[f'{source}{public}.{kind}']
        for scale, public in _SCALES.items():
            gamma = state_dict[source + scale]
            layer = target + _LAYERS[public]
            result[f'{layer}.weight'] = gamma[:, None] * result[f'{layer}.weight']
            result[f'{layer}.bias'] = gamma * result[f'{layer}.bias']
    kernel = result['patch_embed.projection.weight']
    side = kernel.shape[-1] if patch_size is None else patch_size
    if side < 1:
        raise UserInputError(
            f'a patch has {side} pixels: expected a positive number; take 14 or 16'
        )
    result['patch_embed.projection.weight'] = _resize(kernel, side)
    if image_size is not None:
        if image_size <= 0 or image_size % side:
            raise UserInputError(
                f'an image of {image_size} pixels is no whole number of patches of {side}: expected a multiple; '
                f'take {max(1, round(image_size / side)) * side}'
            )
        result['pos_embed'] = _resize_positions(result['pos_embed'], image_size // side)
    return {name: value.contiguous() for name, value in result.items()}


def _depth(state_dict: Mapping[str, Tensor]) -> int:
    """Number of blocks, from the names."""
    numbers = [
        int(parts[1])
        for parts in (name.split('.') for name in state_dict)
        if parts[0] == 'blocks' and len(parts) > 2 and parts[1].isdigit()
    ]
    return max(numbers, default=-1) + 1


def _expected_shapes(state_dict: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a DINOv2 network as wide, deep and finely divided as this one says that it is.

    Raises:
        UserInputError: If it is no ViT with these names.
    """
    kernel = state_dict.get('patch_embed.proj.weight')
    positions = state_dict.get('pos_embed')
    depth = _depth(state_dict)
    scaled = any(name.endswith(tuple(_SCALES)) for name in state_dict)
    if kernel is None or kernel.ndim != 4 or positions is None or positions.ndim != 3 or not scaled:
        first = next(iter(state_dict), 'nothing')
        raise UserInputError(
            f'its first tensor is {first}: expected the weights of DINOv2 (patch_embed.proj.weight, pos_embed, '
            'blocks.0.ls1.gamma, ...); take dinov2_vits14_pretrain.pth, dinov2_vitb14_pretrain.pth or '
            'dinov2_vitl14_pretrain.pth'
        )
    if 'blocks.0.mlp.w12.weight' in state_dict:
        raise UserInputError(
            'its blocks have a gated layer (mlp.w12), which a VisionTransformer of MMSegmentation does not: expected '
            'DINOv2 of the size S, B or L; take dinov2_vitl14_pretrain.pth'
        )
    width, side = kernel.shape[0], kernel.shape[-1]
    shapes: dict[str, tuple[int, ...]] = {
        'cls_token': (1, 1, width),
        'pos_embed': (1, math.isqrt(max(positions.shape[1] - 1, 0)) ** 2 + 1, width),
        'patch_embed.proj.weight': (width, 3, side, side),
        'patch_embed.proj.bias': (width,),
    }
    linear = {
        'attn.qkv': (3 * width, width),
        'attn.proj': (width, width),
        'mlp.fc1': (4 * width, width),
        'mlp.fc2': (width, 4 * width),
    }
    for block in range(depth):
        for layer in _LAYERS:
            shape = linear.get(layer, (width,))
            shapes[f'blocks.{block}.{layer}.weight'] = shape
            shapes[f'blocks.{block}.{layer}.bias'] = shape[:1]
        for scale in _SCALES:
            shapes[f'blocks.{block}.{scale}'] = (width,)
    return shapes


def _faults(
    state_dict: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    missing = [name for name in shapes if name not in state_dict]
    unknown = [name for name in state_dict if name not in shapes and name not in _UNUSED]
    wrong = [
        name for name in shapes if name in state_dict and state_dict[name].shape != shapes[name]
    ]
    if missing:
        yield f'{len(missing)} tensors are missing ({missing[0]})'
    if unknown:
        yield f'{len(unknown)} are none of DINOv2 ({unknown[0]})'
    if wrong:
        name = wrong[0]
        found = tuple(state_dict[name].shape)
        yield f'{len(wrong)} have another shape ({name}: {found} for {shapes[name]})'


def _check(state_dict: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> None:
    faults = list(_faults(state_dict, shapes))
    if faults:
        raise UserInputError(
            f'{", ".join(faults)}: expected the {len(shapes)} tensors of a DINOv2 of {_depth(state_dict)} blocks '
            'without registers; download the file again, or take one of its authors or of timm'
        )


def _resize(maps: Tensor, side: int) -> Tensor:
    """``(N, C, h, w)`` to ``(N, C, side, side)``, bicubic, in the precision of the maps but at least float32."""
    if maps.shape[-2:] == (side, side):
        return maps
    work = maps.to(torch.promote_types(maps.dtype, torch.float32))
    return F.interpolate(work, (side, side), mode='bicubic', align_corners=False).to(maps.dtype)


def _resize_positions(positions: Tensor, side: int) -> Tensor:
    """``(1, 1 + n*n, C)`` to ``(1, 1 + side*side, C)``; the class token keeps its own."""
    first, grid = positions[:, :1], positions[:, 1:]
    old = math.isqrt(grid.shape[1])
    maps = grid.reshape(1, old, old, -1).permute(0, 3, 1, 2)
    resized = _resize(maps, side).permute(0, 2, 3, 1).flatten(1, 2)
    return torch.cat([first, resized], dim=1)
