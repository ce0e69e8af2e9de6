"""DINOv3 of timm, frozen, with Rein's adapters."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import OptConfigType
from torch import Tensor

from ...errors import UserInputError
from .rein_backbone import ReinBackbone, check_positive
from .timm_package import import_timm


@MODELS.register_module()
class ReinDINOv3(ReinBackbone):
    """DINOv3 (Siméoni et al., 2025) as timm has it, frozen, with Rein after every block.

    ``vit`` is timm's network, all of it: 21,586,944 parameters of S, 85,641,216 of B, 303,079,424 of L. It has a
    class token, four registers, no stored positions, but a rotation of queries and keys by the place of the patch
    in the image. As of DINOv2, maps are what the blocks return: timm's last norm is not applied. Class token and
    registers pass the adapters unchanged. What is trained is as large as with DINOv2. See :class:`ReinBackbone`.

    Args:
        model_name (str): timm's name of a DINOv3 vision transformer. Defaults to ``'vit_small_patch16_dinov3'``.
        embed_dims (int, optional): Channels C, together with ``num_heads``. Defaults to None: those of the name, 384
            (S), 768 (B), 1024 (L).
        num_layers (int, optional): Blocks. Defaults to None: those of the name, 12, 12, 24.
        num_heads (int, optional): Heads. Defaults to None: those of the name, 6, 12, 16.
        out_indices (Sequence[int]): Blocks whose patches are returned, ascending. Defaults to (-1,), the last.
        num_tokens (int): Rein's tokens of a block. Defaults to 100.
        rank (int): Their rank. Defaults to 16.
        scale (float): Where Rein's factor starts. Defaults to 0.001.
        init_cfg (dict, optional): ``dict(type='Pretrained', checkpoint=...)``: ``timm://`` and timm's name of the
            weights, or a file of them under the names of timm or of DINOv3's authors. Defaults to None: random ones.

    Raises:
        UserInputError: If timm is missing, the name is none of its DINOv3 transformers, a size is impossible, a block
            does not exist, or, when the weights are initialised, ``init_cfg`` names weights that do not fit tensor
            by tensor.
    """

    def __init__(
        self,
        model_name: str = 'vit_small_patch16_dinov3',
        embed_dims: int | None = None,
        num_layers: int | None = None,
        num_heads: int | None = None,
        out_indices: Sequence[int] = (-1,),
        num_tokens: int = 100,
        rank: int = 16,
        scale: float = 0.001,
        init_cfg: OptConfigType = None,
    ) -> None:
        vit = _timm_network(model_name, embed_dims, num_layers, num_heads)
        super().__init__(
            vit, vit.embed_dim, len(vit.blocks), vit.patch_embed.patch_size[0],
            vit.num_prefix_tokens, out_indices, num_tokens, rank, scale, init_cfg,
        )  # fmt: skip
        self.model_name = model_name

    def draw_weights(self) -> None:
        """Nothing: timm drew them when it built the network."""

    def own_names(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights under timm's names, which has a reader for those of DINOv3's authors.

        Args:
            weights (Mapping[str, Tensor]): Names to tensors.
        """
        eva = import_timm(type(self).__name__, 'timm.models.eva')
        with contextlib.redirect_stdout(io.StringIO()):  # a line for every bias that is left out
            return eva.checkpoint_filter_fn(dict(weights), self.vit)

    def weights_advice(self) -> str:
        """How to get weights that fit, for a message."""
        return (
            f"take the weights of {self.model_name}: checkpoint='timm://{self.model_name}.lvd1689m', or the file "
            'model.safetensors of that name'
        )

    def tokens(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Class token, registers and patches, without positions; see :class:`ReinBackbone`.

        Args:
            images (Tensor): ``(B, 3, H, W)``, whole patches.
        """
        patches = self.vit.patch_embed(images)  # (B, h, w, C)
        prefix = torch.cat([self.vit.cls_token, self.vit.reg_token], dim=1)
        x = torch.cat([prefix.expand(len(patches), -1, -1), patches.flatten(1, 2)], dim=1)
        return x, (patches.shape[1], patches.shape[2])

    def blocks(self, grid: tuple[int, int]) -> Sequence[Callable[[Tensor], Tensor]]:
        """The blocks of timm, with the rotations of a grid.

        Args:
            grid (tuple[int, int]): Rows and columns of patches.
        """
        rotations = self.vit.rope.get_embed(shape=list(grid))
        return [partial(block, rope=rotations) for block in self.vit.blocks]


def _timm_network(
    name: str, embed_dims: int | None, num_layers: int | None, num_heads: int | None
) -> Any:
    """A network of timm with random weights; sizes that are None are those of its name."""
    timm = import_timm('ReinDINOv3')
    known = timm.list_models('vit_*_dinov3*')
    if name not in known:
        raise UserInputError(
            f'ReinDINOv3: model_name={name!r}: expected one of {", ".join(known)}; take vit_small_patch16_dinov3, '
            'vit_base_patch16_dinov3 or vit_large_patch16_dinov3, and name the weights in init_cfg'
        )
    given = dict(embed_dims=embed_dims, num_layers=num_layers, num_heads=num_heads)
    check_positive('ReinDINOv3', **{k: v for k, v in given.items() if v is not None})
    if (embed_dims is None) != (num_heads is None):
        raise UserInputError(
            f'ReinDINOv3: embed_dims={embed_dims} and num_heads={num_heads}: expected both or neither; set both, or '
            'leave them to model_name'
        )
    if embed_dims is not None and num_heads is not None and embed_dims % (4 * num_heads):
        raise UserInputError(
            f'ReinDINOv3: {embed_dims} channels are no multiple of 4 for each of {num_heads} heads, and a rotation '
            'takes four: set embed_dims to a multiple of 4 * num_heads'
        )
    return timm.create_model(name, embed_dim=embed_dims, depth=num_layers, num_heads=num_heads)
