"""Rein: a few trained tokens that correct the patches of a frozen vision transformer after each block."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ReinAdapters(nn.Module):
    r"""Rein (Wei et al., CVPR 2024), all of its layers, with tokens of low rank.

    For the patches :math:`f_i` that block :math:`i` returns and its tokens :math:`T_i = A_i B_i`,

    .. math:: f_i + s \, W_2 \left( \mathrm{softmax}(f_i T_i^\top / \sqrt{C})_{:, 1:} \; W_1(T_i)_{1:} + f_i \right)

    The first token takes the share of patches that need no correction and adds nothing itself. The two linear layers
    serve all blocks. Class token and registers pass unchanged. The patches themselves go through :math:`W_2` as in
    the published code, so the correction is not zero at the start, only small: :math:`s` starts from 0.001.

    Rein's link from the tokens to the queries of Mask2Former has no place here: a head per pixel has no queries.

    Args:
        num_layers (int): Blocks.
        embed_dims (int): Channels C.
        patch_size (int): Side of a patch in pixels; it sets the spread of the first tokens, as published.
        num_tokens (int): Tokens of a block, at least 2. Defaults to 100.
        rank (int): Rank of the tokens of a block. Defaults to 16.
        scale (float): Where s starts. Defaults to 0.001.
        num_prefix_tokens (int): Tokens before the patches: the class token, and registers where there are any.
            Defaults to 1.
    """

    def __init__(
        self,
        num_layers: int,
        embed_dims: int,
        patch_size: int,
        num_tokens: int = 100,
        rank: int = 16,
        scale: float = 0.001,
        num_prefix_tokens: int = 1,
    ) -> None:
        super().__init__()
        self.num_prefix_tokens = num_prefix_tokens
        self.tokens_a = nn.Parameter(torch.empty(num_layers, num_tokens, rank))
        self.tokens_b = nn.Parameter(torch.empty(num_layers, rank, embed_dims))
        self.scale = nn.Parameter(torch.tensor(scale))
        self.token_to_feature = nn.Linear(embed_dims, embed_dims)
        self.to_delta = nn.Linear(embed_dims, embed_dims)
        bound = math.sqrt(6.0 / (3 * patch_size**2 + math.sqrt(embed_dims * rank)))
        for tokens in (self.tokens_a, self.tokens_b):
            nn.init.uniform_(tokens, -bound, bound)
        for layer in (self.token_to_feature, self.to_delta):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5))

    def forward(self, tokens: Tensor, layer: int) -> Tensor:
        """Correct what a block returns.

        Args:
            tokens (Tensor): Prefix and patches ``(B, P + N, C)``.
            layer (int): Number of the block, from 0.

        Returns:
            Tensor: The same shape.
        """
        first, patches = tokens[:, : self.num_prefix_tokens], tokens[:, self.num_prefix_tokens :]
        own = self.tokens_a[layer] @ self.tokens_b[layer]
        shares = (patches @ own.T / math.sqrt(own.shape[1])).softmax(dim=-1)
        delta = self.to_delta(shares[..., 1:] @ self.token_to_feature(own[1:]) + patches)
        return torch.cat([first, patches + self.scale * delta], dim=1)
