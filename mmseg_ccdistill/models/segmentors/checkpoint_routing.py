"""Where the tensors of a checkpoint go in a model of several networks."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.logging import print_log
from torch import nn

from ...runtime.checkpoint_match import check_match


def route_checkpoint(
    state_dict: dict[str, Any], prefix: str, model: nn.Module, networks: Mapping[str, nn.Module]
) -> set[str]:
    """Send a plain (unprefixed) checkpoint to every network; refuse one that fits none.

    A plain checkpoint names no network. Each network takes the keys that it owns; all other keys, those of
    discriminators for example, keep their names. What a checkpoint of a whole model names goes where its names say.

    Args:
        state_dict: What is loaded; plain keys are replaced in place.
        prefix: Of the model's own keys in it, e.g. ``'module.'``.
        model: The model.
        networks: Its networks by name.

    Returns:
        The names of the networks that something was loaded for.

    Raises:
        ValueError: If nothing fits, or most tensors of a network have another shape.
    """
    own = {key[len(prefix) :]: key for key in state_dict if key.startswith(prefix)}
    starts = tuple(f'{name}.' for name in networks)
    if not any(name.startswith(starts) for name in own):
        _name_plain_keys(state_dict, prefix, own, model, networks)
    loaded_networks = set()
    for name, network in networks.items():
        start = f'{prefix}{name}.'
        loaded = {k[len(start) :]: v for k, v in state_dict.items() if k.startswith(start)}
        if not loaded:
            continue
        matched, expected = check_match(loaded, network.state_dict())
        print_log(f'checkpoint: {matched} of {expected} tensors fit {name}', logger='current')
        absent = _parts(network.state_dict()) - _parts(loaded)
        if absent:
            print_log(
                f'checkpoint: it has nothing of {", ".join(sorted(absent))} of {name}, which keeps its first weights',
                logger='current',
                level=logging.WARNING,
            )
        loaded_networks.add(name)
    return loaded_networks


def _parts(keys: Iterable[str]) -> set[str]:
    """The first words of dotted names."""
    return {key.split('.')[0] for key in keys}


def _name_plain_keys(
    state_dict: dict[str, Any],
    prefix: str,
    own: Mapping[str, str],
    model: nn.Module,
    networks: Mapping[str, nn.Module],
) -> None:
    """Give the keys of a plain checkpoint the names that they have in each network."""
    owned = {name: network.state_dict().keys() for name, network in networks.items()}
    plain = set().union(*owned.values())
    whole = model.state_dict()
    if not (plain | set(whole)) & set(own):
        loaded = {name: state_dict[key] for name, key in own.items()}
        one = next(iter(networks.values())).state_dict()
        check_match(loaded, {**one, **whole})  # says what would make a plain or a whole one fit
    for name, key in own.items():
        if name not in plain or name in whole:
            continue
        value = state_dict.pop(key)
        for network, keys in owned.items():
            if name in keys:
                state_dict[f'{prefix}{network}.{name}'] = value
