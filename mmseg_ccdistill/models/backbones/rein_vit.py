"""A frozen vision transformer of a foundation model with Rein's adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.models.backbones import VisionTransformer
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import OptConfigType
from torch import Tensor
from torch.nn import functional as F

from ...errors import UserInputError
from ..segmentors.frozen_network import freeze
from .fitting_weights import load_fitting_weights
from .rein_adapters import ReinAdapters

#: The command that writes weights for this backbone.
_CONVERTER = 'python tools/model_converters/dinov2_to_mmseg.py SRC DST'


@MODELS.register_module()
class ReinVisionTransformer(BaseModule):
    """DINOv2 (Oquab et al., TMLR 2024) as it was published, frozen, with Rein after every block.

    ``vit`` is MMSegmentation's ``VisionTransformer`` in the shape of DINOv2: LN with an epsilon of 1e-6, bias in the
    patch kernel and in qkv, no padding of patches, no final norm. Its weights are buffers, so no optimizer holds
    them, and it stays in evaluation mode; ``rein`` is all that is trained: 388,609 parameters of S, 1,347,841 of B,
    2,530,817 of L.

    Images that patches do not divide are enlarged to the next size that they do, 540 x 960 to 544 x 960 for patches
    of 16: the map then covers the image exactly, where padding would shift it. Positions are resized to the grid
    (bicubic, without antialiasing, as MMSegmentation does).

    Args:
        embed_dims (int): Channels C: 384 (S), 768 (B), 1024 (L).
        num_layers (int): Blocks: 12, 12, 24.
        num_heads (int): Heads: 6, 12, 16.
        img_size (int): Side in pixels of the square images whose positions are stored. Defaults to 512.
        patch_size (int): Side of a patch in pixels. Defaults to 16.
        out_indices (Sequence[int]): Blocks whose patches are returned, ascending. Defaults to (-1,), the last.
        num_tokens (int): Rein's tokens of a block. Defaults to 100.
        rank (int): Their rank. Defaults to 16.
        scale (float): Where Rein's factor starts. Defaults to 0.001.
        init_cfg (dict, optional): ``dict(type='Pretrained', checkpoint=...)``: weights of ``vit`` as
            ``tools/model_converters/dinov2_to_mmseg.py`` writes them. Defaults to None: random ones.

    Raises:
        UserInputError: If a size does not divide, a block does not exist, or, when the weights are initialised,
            ``init_cfg`` names weights that do not fit tensor by tensor.
    """

    #: The child that is not trained: networks may have it in common.
    frozen_child: ClassVar[str] = 'vit'

    def __init__(
        self,
        embed_dims: int,
        num_layers: int,
        num_heads: int,
        img_size: int = 512,
        patch_size: int = 16,
        out_indices: Sequence[int] = (-1,),
        num_tokens: int = 100,
        rank: int = 16,
        scale: float = 0.001,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(init_cfg)
        _check_sizes(embed_dims, num_layers, num_heads, img_size, patch_size, num_tokens, rank)
        self.patch_size = patch_size
        self.num_heads = num_heads
        self.out_indices = _block_numbers(out_indices, num_layers)
        self.vit = VisionTransformer(
            img_size=img_size,
            patch_size=patch_size,
            patch_pad=0,
            patch_bias=True,
            embed_dims=embed_dims,
            num_layers=num_layers,
            num_heads=num_heads,
            norm_cfg=dict(type='LN', eps=1e-6),
        )
        self.rein = ReinAdapters(num_layers, embed_dims, patch_size, num_tokens, rank, scale)
        freeze(self.vit)
        self.vit.eval()

    def init_weights(self) -> None:
        """Load or draw the weights of ``vit``; the adapters were drawn when they were built.

        Raises:
            UserInputError: If the weights of ``init_cfg`` are not those of this network.
        """
        if not self.vit.is_init:  # other networks may have it, too
            if self.init_cfg is None:
                self.vit.init_weights()
            else:
                self._load_pretrained(self.init_cfg)
            self.vit.is_init = True
        self.is_init = True

    def _load_pretrained(self, init_cfg: OptConfigType) -> None:
        """Fill ``vit`` strictly, where mmseg takes what fits and goes on."""
        if not isinstance(init_cfg, Mapping) or init_cfg.get('type') != 'Pretrained':
            raise UserInputError(
                "model.backbone.init_cfg: expected dict(type='Pretrained', checkpoint=...), got "
                f'{init_cfg!r}; name a file that {_CONVERTER} has written'
            )
        path = init_cfg['checkpoint']
        checkpoint = CheckpointLoader.load_checkpoint(path, logger=None, map_location='cpu')
        weights = checkpoint.get('state_dict', checkpoint)
        load_fitting_weights(
            self.vit,
            weights,
            path,
            f'write the weights of its size, patches and images with {_CONVERTER} --patch-size {self.patch_size} '
            f'--image-size {self.vit.img_size[0]}',
        )

    def train(self, mode: bool = True) -> ReinVisionTransformer:
        """Training or evaluation mode for all but ``vit``, which stays in evaluation mode.

        Args:
            mode (bool): Whether to train. Defaults to True.
        """
        super().train(mode)
        self.vit.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps of the blocks in ``out_indices``.

        Args:
            images (Tensor): ``(B, 3, H, W)``, any size.

        Returns:
            tuple[Tensor, ...]: ``(B, C, ceil(H / patch_size), ceil(W / patch_size))`` each.
        """
        x, (rows, columns) = self.vit.patch_embed(self._whole_patches(images))
        x = torch.cat([self.vit.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + self._positions(rows, columns)
        maps = []
        for number, layer in enumerate(self.vit.layers):
            x = self.rein(self._block(layer, x), number)
            if number in self.out_indices:
                maps.append(x[:, 1:].transpose(1, 2).reshape(len(x), -1, rows, columns))
        return tuple(maps)

    def _whole_patches(self, images: Tensor) -> Tensor:
        """The images, enlarged (bilinear) where a side is no whole number of patches."""
        size = [-(-side // self.patch_size) * self.patch_size for side in images.shape[2:]]
        if size == list(images.shape[2:]):
            return images
        return resize(images, size=tuple(size), mode='bilinear', align_corners=False)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Positions ``(1, 1 + rows * columns, C)`` of a grid.

        MMSegmentation compares the number of patches alone, and would give a grid of 16 x 64 those of 32 x 32.
        """
        side = self.vit.img_size[0] // self.patch_size
        if (rows, columns) == (side, side):
            return self.vit.pos_embed
        return self.vit.resize_pos_embed(
            self.vit.pos_embed, (rows, columns), (side, side), self.vit.interpolate_mode
        )

    def _block(self, layer: Any, x: Tensor) -> Tensor:
        """A ``TransformerEncoderLayer`` without dropout, its attention in one fused step.

        The layer's own forward asks for the attention weights, which takes memory in the square of the patches.
        """
        attention = layer.attn.attn
        qkv = F.linear(layer.ln1(x), attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = qkv.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + attention.out_proj(y)
        return layer.ffn(layer.ln2(x), identity=x)


def _check_sizes(
    embed_dims: int,
    num_layers: int,
    num_heads: int,
    img_size: int,
    patch_size: int,
    num_tokens: int,
    rank: int,
) -> None:
    sizes = dict(
        embed_dims=embed_dims,
        num_layers=num_layers,
        num_heads=num_heads,
        img_size=img_size,
        patch_size=patch_size,
        rank=rank,
    )
    for name, value in sizes.items():
        if value < 1:
            raise UserInputError(
                f'ReinVisionTransformer: {name} must be a positive integer, got {value!r}; correct it'
            )
    if num_tokens < 2:
        raise UserInputError(
            f'ReinVisionTransformer: num_tokens must be at least 2, because the first adds nothing, got {num_tokens}'
        )
    if embed_dims % num_heads:
        raise UserInputError(
            f'ReinVisionTransformer: {embed_dims} channels are no whole number for each of {num_heads} heads: set '
            'embed_dims to a multiple of num_heads'
        )
    if img_size % patch_size:
        raise UserInputError(
            f'ReinVisionTransformer: img_size={img_size} is no whole number of patches of {patch_size}: set img_size '
            f'to {max(1, round(img_size / patch_size)) * patch_size}, or to what the weights were converted for'
        )


def _block_numbers(out_indices: Sequence[int], num_layers: int) -> tuple[int, ...]:
    """Numbers from 0 on of the blocks that are returned."""
    numbers = [index + num_layers if index < 0 else index for index in out_indices]
    if (
        not numbers
        or sorted(set(numbers)) != numbers
        or not 0 <= numbers[0] <= numbers[-1] < num_layers
    ):
        raise UserInputError(
            f'ReinVisionTransformer: out_indices={tuple(out_indices)}: expected numbers of its {num_layers} blocks in '
            f'ascending order, each once; take some from 0 to {num_layers - 1}, or -1'
        )
    return tuple(numbers)
