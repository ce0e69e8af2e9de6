"""Components of a method beside its networks: built from a config, or left out."""

from __future__ import annotations

import copy

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import nn

from ..errors import UserInputError


def build_optional(config: ConfigType | None) -> BaseModule | None:
    """Build a component from its config; ``None`` means that the component is off."""
    return None if config is None else MODELS.build(config)


def build_apart(config: ConfigType, number: int = 0) -> nn.Module:
    """Build and initialise a component without a trace in the random stream of the rest.

    So runs with and without it, of one seed, have equal initial weights and equal dropout draws elsewhere. Two calls
    with one config and one number give twins.

    Args:
        config (dict): Config of the component.
        number (int): Number of the component where one config makes several. Defaults to 0.

    Returns:
        nn.Module: The component.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(torch.initial_seed() + 1 + number)
        component = MODELS.build(copy.deepcopy(config))
        if not any(p.is_meta for p in component.parameters()):  # there is nothing to fill
            component.init_weights()
    return component


def build_discriminator(config: ConfigType, num_classes: int, number: int = 0) -> nn.Module:
    """Build a discriminator of class probabilities apart, see :func:`build_apart`.

    Args:
        config: Its config; ``in_channels`` may be left out.
        num_classes: Channels of the maps that it reads.
        number: See :func:`build_apart`. Defaults to 0.

    Raises:
        UserInputError: If it is one of another number of classes.
    """
    classes = config.get('in_channels', num_classes)
    if classes != num_classes:
        raise UserInputError(
            f'discriminator.in_channels is {classes}, but the decode head has {num_classes} classes: set '
            f'model.discriminator.in_channels={num_classes}.'
        )
    return build_apart({**config, 'in_channels': num_classes}, number)
