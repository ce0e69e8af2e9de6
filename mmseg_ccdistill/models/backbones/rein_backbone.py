"""What the frozen vision transformers with Rein's adapters have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from mmengine.model import BaseModule
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.models.utils import resize
from mmseg.utils import OptConfigType
from torch import Tensor, nn

from ...errors import UserInputError
from ..segmentors.frozen_network import freeze
from .fitting_weights import load_fitting_weights
from .rein_adapters import ReinAdapters


class ReinBackbone(BaseModule):
    """A vision transformer ``vit`` as it was published, frozen, with Rein after every block.

    Its weights are buffers, so no optimizer holds them, and it stays in evaluation mode; ``rein`` is all that is
    trained. A subclass builds ``vit`` and says how images become tokens, and what its blocks are.

    Images that patches do not divide are enlarged to the next size that they do, 540 x 960 to 544 x 960 for patches
    of 16: the map then covers the image exactly, where padding would shift it.

    Args:
        vit (nn.Module): The transformer; frozen in place.
        embed_dims (int): Its channels C.
        num_layers (int): Its blocks.
        patch_size (int): Side of a patch in pixels.
        num_prefix_tokens (int): Tokens before the patches.
        out_indices (Sequence[int]): Blocks whose patches are returned, ascending.
        num_tokens (int): Rein's tokens of a block.
        rank (int): Their rank.
        scale (float): Where Rein's factor starts.
        init_cfg (dict, optional): ``dict(type='Pretrained', checkpoint=...)``, the weights of ``vit``, or None.

    Raises:
        UserInputError: If a size is impossible, a block does not exist, or, when the weights are initialised,
            ``init_cfg`` names weights that do not fit tensor by tensor.
    """

    #: The child that is not trained: networks may have it in common.
    frozen_child: ClassVar[str] = 'vit'

    def __init__(
        self,
        vit: nn.Module,
        embed_dims: int,
        num_layers: int,
        patch_size: int,
        num_prefix_tokens: int,
        out_indices: Sequence[int],
        num_tokens: int,
        rank: int,
        scale: float,
        init_cfg: OptConfigType,
    ) -> None:
        super().__init__(init_cfg)
        name = type(self).__name__
        check_positive(name, rank=rank)
        if num_tokens < 2:
            raise UserInputError(
                f'{name}: num_tokens must be at least 2, because the first adds nothing, got {num_tokens}'
            )
        self.patch_size = patch_size
        self.num_prefix_tokens = num_prefix_tokens
        self.out_indices = _block_numbers(name, out_indices, num_layers)
        self.vit: Any = vit
        self.rein = ReinAdapters(
            num_layers, embed_dims, patch_size, num_tokens, rank, scale, num_prefix_tokens
        )
        freeze(self.vit)
        self.vit.eval()

    def init_weights(self) -> None:
        """Load or draw the weights of ``vit``; the adapters were drawn when they were built.

        Raises:
            UserInputError: If the weights of ``init_cfg`` are not those of this network.
        """
        if not getattr(self.vit, 'is_init', False):  # other networks may have it, too
            if self.init_cfg is None:
                self.draw_weights()
            else:
                self._load_pretrained(self.init_cfg)
            self.vit.is_init = True
        self.is_init = True

    def _load_pretrained(self, init_cfg: OptConfigType) -> None:
        """Fill ``vit`` strictly, where mmseg takes what fits and goes on."""
        if not isinstance(init_cfg, Mapping) or init_cfg.get('type') != 'Pretrained':
            raise UserInputError(
                "model.backbone.init_cfg: expected dict(type='Pretrained', checkpoint=...), got "
                f'{init_cfg!r}; {self.weights_advice()}'
            )
        path = init_cfg['checkpoint']
        checkpoint = CheckpointLoader.load_checkpoint(path, logger=None, map_location='cpu')
        weights = self.own_names(checkpoint.get('state_dict', checkpoint))
        load_fitting_weights(self.vit, weights, path, self.weights_advice())

    def draw_weights(self) -> None:
        """Draw random weights of ``vit``."""
        raise NotImplementedError(f'{type(self).__name__} must define draw_weights().')

    def own_names(self, weights: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Weights of a file under the names of ``vit``; as they are, unless a subclass knows other names.

        Args:
            weights (Mapping[str, Tensor]): Names to tensors.
        """
        return weights

    def weights_advice(self) -> str:
        """How to get weights that fit, for a message."""
        raise NotImplementedError(f'{type(self).__name__} must define weights_advice().')

    def tokens(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the first block reads.

        Args:
            images (Tensor): ``(B, 3, H, W)``, whole patches.

        Returns:
            tuple: Prefix and patches ``(B, P + h * w, C)``, and the grid ``(h, w)`` of the patches.
        """
        raise NotImplementedError(f'{type(self).__name__} must define tokens().')

    def blocks(self, grid: tuple[int, int]) -> Sequence[Callable[[Tensor], Tensor]]:
        """The blocks in order, each from tokens to tokens.

        Args:
            grid (tuple[int, int]): Rows and columns of patches.
        """
        raise NotImplementedError(f'{type(self).__name__} must define blocks().')

    def train(self, mode: bool = True) -> ReinBackbone:
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
        x, grid = self.tokens(self._whole_patches(images))
        maps = []
        for number, block in enumerate(self.blocks(grid)):
            x = self.rein(block(x), number)
            if number in self.out_indices:
                patches = x[:, self.num_prefix_tokens :]
                maps.append(patches.transpose(1, 2).reshape(len(x), -1, *grid))
        return tuple(maps)

    def _whole_patches(self, images: Tensor) -> Tensor:
        """The images, enlarged (bilinear) where a side is no whole number of patches."""
        size = [-(-side // self.patch_size) * self.patch_size for side in images.shape[2:]]
        if size == list(images.shape[2:]):
            return images
        return resize(images, size=tuple(size), mode='bilinear', align_corners=False)


def check_positive(owner: str, **sizes: int) -> None:
    """Check settings that are counts.

    Args:
        owner (str): The class, for the message.
        **sizes (int): Names to values.

    Raises:
        UserInputError: If one is not positive.
    """
    for name, value in sizes.items():
        if value < 1:
            raise UserInputError(
                f'{owner}: {name} must be a positive integer, got {value!r}; correct it'
            )


def _block_numbers(owner: str, out_indices: Sequence[int], num_layers: int) -> tuple[int, ...]:
    """Numbers from 0 on of the blocks that are returned."""
    numbers = [index + num_layers if index < 0 else index for index in out_indices]
    if (
        not numbers
        or sorted(set(numbers)) != numbers
        or not 0 <= numbers[0] <= numbers[-1] < num_layers
    ):
        raise UserInputError(
            f'{owner}: out_indices={tuple(out_indices)}: expected numbers of its {num_layers} blocks in '
            f'ascending order, each once; take some from 0 to {num_layers - 1}, or -1'
        )
    return tuple(numbers)
