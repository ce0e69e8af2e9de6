"""DINOv2, frozen, with Rein's adapters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from mmseg.models.backbones import VisionTransformer
from mmseg.models.backbones.vit import TransformerEncoderLayer
from mmseg.registry import MODELS
from mmseg.utils import OptConfigType
from torch import Tensor
from torch.nn import functional as F

from ...errors import UserInputError
from .rein_backbone import ReinBackbone, check_positive

#: The command that writes weights for this backbone.
_CONVERTER = 'python tools/model_converters/dinov2_to_mmseg.py SRC DST'


class FusedEncoderLayer(TransformerEncoderLayer):
    """A layer of MMSegmentation without dropout, its attention in one fused step.

    The forward of its base asks for the attention weights, which takes memory in the square of the patches.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The next tokens.

        Args:
            x (Tensor): Tokens ``(B, N, C)``.
        """
        attention = self.attn.attn
        qkv = F.linear(self.ln1(x), attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = qkv.unflatten(2, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + attention.out_proj(y)
        return self.ffn(self.ln2(x), identity=x)


@MODELS.register_module()
class ReinVisionTransformer(ReinBackbone):
    """DINOv2 (Oquab et al., TMLR 2024) as it was published, frozen, with Rein after every block.

    ``vit`` is MMSegmentation's ``VisionTransformer`` in the shape of DINOv2: LN with an epsilon of 1e-6, bias in the
    patch kernel and in qkv, no padding of patches, no final norm. What is trained: 388,609 parameters of S, 1,347,841
    of B, 2,530,817 of L. See :class:`ReinBackbone`.

    Positions are resized to the grid (bicubic, without antialiasing, as MMSegmentation does).

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
        _check_sizes(embed_dims, num_layers, num_heads, img_size, patch_size)
        vit = VisionTransformer(
            img_size=img_size,
            patch_size=patch_size,
            patch_pad=0,
            patch_bias=True,
            embed_dims=embed_dims,
            num_layers=num_layers,
            num_heads=num_heads,
            norm_cfg=dict(type='LN', eps=1e-6),
        )
        for layer in vit.layers:
            layer.__class__ = FusedEncoderLayer  # the same parts under the same names
        super().__init__(
            vit, embed_dims, num_layers, patch_size, 1, out_indices, num_tokens, rank, scale,
            init_cfg,
        )  # fmt: skip
        self.num_heads = num_heads

    def draw_weights(self) -> None:
        """Draw random weights of ``vit``."""
        self.vit.init_weights()

    def weights_advice(self) -> str:
        """How to get weights that fit, for a message."""
        return (
            f'write the weights of its size, patches and images with {_CONVERTER} --patch-size {self.patch_size} '
            f'--image-size {self.vit.img_size[0]}'
        )

    def tokens(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Class token and patches with their positions; see :class:`ReinBackbone`.

        Args:
            images (Tensor): ``(B, 3, H, W)``, whole patches.
        """
        x, grid = self.vit.patch_embed(images)
        x = torch.cat([self.vit.cls_token.expand(len(x), -1, -1), x], dim=1)
        return x + self._positions(*grid), grid

    def blocks(self, grid: tuple[int, int]) -> Sequence[Callable[[Tensor], Tensor]]:
        """The layers; they do not depend on the grid.

        Args:
            grid (tuple[int, int]): Rows and columns of patches.
        """
        return list(self.vit.layers)

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


def _check_sizes(
    embed_dims: int, num_layers: int, num_heads: int, img_size: int, patch_size: int
) -> None:
    check_positive(
        'ReinVisionTransformer',
        embed_dims=embed_dims,
        num_layers=num_layers,
        num_heads=num_heads,
        img_size=img_size,
        patch_size=patch_size,
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
