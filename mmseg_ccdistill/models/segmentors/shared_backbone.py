"""One frozen part of a backbone for all networks of a method."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModule
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from ...errors import UserInputError


def frozen_child(backbone: nn.Module) -> BaseModule:
    """The child of a backbone that is never trained, which the backbone names in ``frozen_child``.

    Args:
        backbone: E.g. a ``ReinVisionTransformer``, whose ``vit`` it is.

    Raises:
        UserInputError: If it has none.
    """
    return getattr(backbone, _frozen_name(backbone))


def _frozen_name(backbone: nn.Module) -> str:
    name = getattr(backbone, 'frozen_child', None)
    if name is None:
        raise UserInputError(
            'share_backbone=True needs a backbone with a part that is not trained, as ReinVisionTransformer has, and '
            f'{type(backbone).__name__} has none: set model.share_backbone=False.'
        )
    return name


def share_frozen_child(lead: EncoderDecoder, other: EncoderDecoder) -> None:
    """Give a network the frozen part of another one's backbone; what it had is dropped.

    Args:
        lead: Whose part it is.
        other: Built from the same config, or the same network; changed in place.

    Raises:
        UserInputError: If the backbone has no frozen part.
    """
    setattr(other.backbone, _frozen_name(lead.backbone), frozen_child(lead.backbone))


def copy_around_frozen_child(network: EncoderDecoder) -> EncoderDecoder:
    """A copy of a network that has the frozen part of its backbone, if there is one, in common with it.

    Args:
        network: Network; not changed.
    """
    name = getattr(network.backbone, 'frozen_child', None)
    shared = [] if name is None else [getattr(network.backbone, name)]
    return copy.deepcopy(network, {id(part): part for part in shared})


def check_shared_weights(
    state_dict: Mapping[str, Any], prefix: str, networks: Mapping[str, EncoderDecoder]
) -> None:
    """Refuse a checkpoint that has two frozen parts where the model has one: the last would win silently.

    Args:
        state_dict: What is loaded.
        prefix: Of the model's own keys in it.
        networks: Networks that share, by name.

    Raises:
        UserInputError: If the weights of two networks differ.
    """
    backbone = next(iter(networks.values())).backbone
    child = f'backbone.{_frozen_name(backbone)}'
    for name in frozen_child(backbone).state_dict():
        keys = [f'{network}.{child}.{name}' for network in networks]
        held = [key for key in keys if isinstance(state_dict.get(f'{prefix}{key}'), Tensor)]
        values = [state_dict[f'{prefix}{key}'] for key in held]
        for key, value in zip(held[1:], values[1:], strict=True):
            if value is not values[0] and not torch.equal(value, values[0]):
                raise UserInputError(
                    f'the checkpoint has other weights for {key} than for {held[0]}, but with share_backbone=True '
                    'the two are one: set model.share_backbone=False, or start from the checkpoint of one network.'
                )
