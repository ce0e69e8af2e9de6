"""DINOv2 as its paper describes it, under the public names: small, random, in float64."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def random_dinov2(
    width: int = 12, depth: int = 3, patch: int = 14, grid: int = 5, seed: int = 0
) -> dict[str, Tensor]:
    """A state dict with the names of facebookresearch/dinov2.

    Args:
        width (int): Channels. Defaults to 12.
        depth (int): Blocks. Defaults to 3.
        patch (int): Side of a patch in pixels. Defaults to 14.
        grid (int): Side of the grid of positions. Defaults to 5.
        seed (int): Seed. Defaults to 0.

    Returns:
        dict[str, Tensor]: float64.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int, spread: float = 0.3) -> Tensor:
        return spread * torch.randn(*shape, generator=generator, dtype=torch.float64)

    state = {
        'cls_token': draw(1, 1, width),
        'pos_embed': draw(1, grid**2 + 1, width),
        'mask_token': draw(1, width),
        'patch_embed.proj.weight': draw(width, 3, patch, patch, spread=0.05),
        'patch_embed.proj.bias': draw(width),
    }
    for i in range(depth):
        for name, shape in {
            'norm1': (width,),
            'attn.qkv': (3 * width, width),
            'attn.proj': (width, width),
            'norm2': (width,),
            'mlp.fc1': (4 * width, width),
            'mlp.fc2': (width, 4 * width),
        }.items():
            state[f'blocks.{i}.{name}.weight'] = draw(*shape) + (1 if 'norm' in name else 0)
            state[f'blocks.{i}.{name}.bias'] = draw(shape[0])
        state[f'blocks.{i}.ls1.gamma'] = draw(width) + 0.5
        state[f'blocks.{i}.ls2.gamma'] = draw(width) - 0.5
    state['norm.weight'] = draw(width) + 1
    state['norm.bias'] = draw(width)
    return state


def block_outputs(state: dict[str, Tensor], images: Tensor, heads: int) -> list[Tensor]:
    """Maps after each block, for images of the size that the positions are of; LayerScale as a factor.

    Args:
        state (dict[str, Tensor]): As :func:`random_dinov2` makes it.
        images (Tensor): ``(B, 3, H, W)``.
        heads (int): Attention heads.

    Returns:
        list[Tensor]: ``(B, C, h, w)`` each.
    """
    kernel = state['patch_embed.proj.weight']
    width, side = kernel.shape[0], kernel.shape[-1]
    x = F.conv2d(images, kernel, state['patch_embed.proj.bias'], stride=side)
    h, w = x.shape[2:]
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([state['cls_token'].expand(len(x), -1, -1), x], 1) + state['pos_embed']
    maps = []
    depth = sum(name.endswith('.ls1.gamma') for name in state)
    for i in range(depth):
        own = {k.split('.', 2)[2]: v for k, v in state.items() if k.startswith(f'blocks.{i}.')}
        y = F.layer_norm(x, (width,), own['norm1.weight'], own['norm1.bias'], 1e-6)
        y = y @ own['attn.qkv.weight'].T + own['attn.qkv.bias']
        q, k, v = (part.unflatten(2, (heads, -1)).transpose(1, 2) for part in y.chunk(3, 2))
        attention = (q @ k.transpose(2, 3) / (width // heads) ** 0.5).softmax(3)
        y = (attention @ v).transpose(1, 2).flatten(2)
        x = x + own['ls1.gamma'] * (y @ own['attn.proj.weight'].T + own['attn.proj.bias'])
        y = F.layer_norm(x, (width,), own['norm2.weight'], own['norm2.bias'], 1e-6)
        y = F.gelu(y @ own['mlp.fc1.weight'].T + own['mlp.fc1.bias'])
        x = x + own['ls2.gamma'] * (y @ own['mlp.fc2.weight'].T + own['mlp.fc2.bias'])
        maps.append(x[:, 1:].transpose(1, 2).unflatten(2, (h, w)))
    return maps
