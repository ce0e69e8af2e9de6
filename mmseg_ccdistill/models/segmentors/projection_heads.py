"""The projection head of both branches, or one for each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mmseg.utils import OptConfigType
from torch import nn

from ...errors import UserInputError
from ..component_building import build_apart


def build_projection_heads(
    config: OptConfigType, is_shared: bool, networks: Sequence[str]
) -> nn.Module | None:
    """The shared head, or one per branch (equal at the start) by its name; None if there is none.

    Args:
        config: Of one head; None for none.
        is_shared: Whether both branches have one in common.
        networks: Names of the branches.
    """
    if config is None or is_shared:
        return None if config is None else build_apart(config)
    return nn.ModuleDict({branch: build_apart(config) for branch in networks})


def check_every_head_learns(
    head: nn.Module | None,
    taught: Iterable[str] | None,
    routes: Mapping[str, str],
    networks: Sequence[str],
) -> None:
    """Refuse a head of its own that no term teaches: distributed training waits for its gradient.

    Args:
        head: What :func:`build_projection_heads` returned.
        taught: Domains whose embeddings L_CDC teaches; None if it does not tell.
        routes: The branch that sees a domain.
        networks: Names of the branches.

    Raises:
        UserInputError: If a branch has such a head.
    """
    if not isinstance(head, nn.ModuleDict) or taught is None:
        return
    learning = {routes[domain] for domain in taught}
    for branch in networks:
        if branch not in learning:
            raise UserInputError(
                f'share_projection_head=False builds a projection head for {branch}, which no term of loss_cdc '
                'teaches: with js_weight=0, illumination_weight=0 and detach_guide=True the day is a constant '
                'guide; set share_projection_head=True, loss_cdc.detach_guide=False, or give one of the two '
                'weights a value.'
            )
