"""Components of a method beside its networks: built from a config, or left out."""

from __future__ import annotations

import copy

import torch
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import nn


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
