"""What an adaptation method says about its networks, and the names of networks that others ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...domains import DOMAINS
from ...errors import UserInputError


def check_networks(
    method: str, networks: Sequence[str], routes: Mapping[str, str], frozen: Sequence[str]
) -> None:
    """Check the class attributes of a method.

    Args:
        method: Name of the class.
        networks: Names of its networks.
        routes: Name of a network by domain.
        frozen: Names of the networks that are not trained.

    Raises:
        ValueError: If there is no network, two have one name, or a name or domain does not exist.
    """
    if isinstance(networks, str) or not networks:
        raise UserInputError(
            f"{method}.networks: expected a tuple of names, e.g. ('night',), got {networks!r}; name each network."
        )
    twice = next((name for name in networks if list(networks).count(name) > 1), None)
    if twice is not None:
        raise UserInputError(
            f'{method}.networks names {twice!r} twice, so the second would replace the first: expected a name of its '
            f'own for each of {tuple(networks)}; rename one.'
        )
    if isinstance(frozen, str):
        raise UserInputError(f'{method}.frozen: expected a tuple of names, got {frozen!r}.')
    for name in frozen:
        check_network_name(name, networks, f'{method}.frozen')
    for domain, name in routes.items():
        if domain not in DOMAINS:
            raise UserInputError(
                f'{method}.routes names the domain {domain!r}: expected some of {DOMAINS}; correct it.'
            )
        check_network_name(name, networks, f'{method}.routes[{domain!r}]')


def check_network_name(name: str, networks: Sequence[str], where: str) -> None:
    """Check that a method has a network.

    Args:
        name: The network that is asked for.
        networks: Those that there are.
        where: The setting or argument that asks.

    Raises:
        ValueError: If there is none of this name.
    """
    if name not in networks:
        raise UserInputError(f'{where} must be one of {tuple(networks)}, got {name!r}.')
