"""Which domains a sample needs from its datasets, so that no other image is decoded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..domains import DOMAINS
from ..errors import UserInputError
from .file_check import DatasetCheckError, leaf_datasets


class Step(NamedTuple):
    """A transform of a whole sample, and what is left of the sample after it.

    Attributes:
        transform: The transform.
        kept: Domains that a later transform reads or that the sample shall hold.
    """

    transform: Callable
    kept: frozenset[str]


def plan_flow(
    transforms: Sequence[Callable], domains: Sequence[str]
) -> tuple[frozenset[str], list[Step]]:
    """Find what must be decoded, and which transforms have something to do.

    A transform that makes a domain says so in its attributes ``reads`` and ``adds`` (names of domains), one that works
    on a domain that is there in ``changes``. It is left out if nobody wants what it makes or changes. A transform
    without them (packing) takes what is there.

    Args:
        transforms: Transforms of the whole sample, in order.
        domains: What the sample shall hold in the end.

    Returns:
        The domains that the datasets must return, and the transforms that run.

    Raises:
        DatasetCheckError: If a transform changes a domain that only a later one makes.
    """
    needed = frozenset(domains)
    makers: dict[str, Callable] = {}
    steps: list[Step] = []
    for transform in reversed(transforms):
        adds, changes = (frozenset(getattr(transform, key, ())) for key in ('adds', 'changes'))
        early = next((domain for domain in changes if domain in makers), None)
        if early is not None:
            name, maker = type(transform).__name__, type(makers[early]).__name__
            raise DatasetCheckError(
                f'{name} stands before {maker}, which makes {early!r}: expected it behind; move {name} behind {maker} '
                'in the pipeline of CrossDomainDataset.'
            )
        if adds | changes and not (adds | changes) & needed:
            continue
        steps.append(Step(transform, needed))
        makers |= dict.fromkeys(adds, transform)
        needed = (needed - adds) | changes | frozenset(getattr(transform, 'reads', ()))
    return needed, steps[::-1]


def run_flow(steps: Sequence[Step], results: dict[str, Any]) -> Any:
    """Run the steps of :func:`plan_flow` and drop what nobody needs any more; ``results`` by domain may be changed.

    Returns what the last transform returns; None as soon as one gives up.
    """
    for step in steps:
        results = step.transform(results)
        if results is None:
            return None
        for domain in DOMAINS:
            if domain in results and domain not in step.kept:
                del results[domain]
    return results


def domains_of(dataset: Any, alone: str) -> tuple[str, ...]:
    """Domains that a dataset names in its attribute ``domains``; ``alone`` for one that names none."""
    leaf = next(iter(leaf_datasets(dataset)))
    return tuple(getattr(leaf, 'domains', (alone,)))


def select_domains(dataset: Any, wanted: Collection[str]) -> None:
    """Tell datasets that return several domains which of them to decode."""
    for leaf in leaf_datasets(dataset):
        if hasattr(leaf, 'domains'):
            leaf.domains = tuple(domain for domain in leaf.domains if domain in wanted)


def check_wanted(
    domains: Sequence[str], decoded: Collection[str], returned: Mapping[str, Sequence[str]]
) -> None:
    """Check that every wanted domain comes from somewhere.

    Args:
        domains: The setting ``domains``.
        decoded: What the datasets must return for them.
        returned: Domains that each dataset returns, by its name in a message.

    Raises:
        DatasetCheckError: If a domain is unknown, or neither a dataset nor a transform gives it.
    """
    unknown = [domain for domain in domains if domain not in DOMAINS]
    if unknown or not domains or isinstance(domains, str):
        raise DatasetCheckError(
            f'domains of CrossDomainDataset is {domains!r}: expected some of {DOMAINS}; name what the method reads.'
        )
    there = {domain for part in returned.values() for domain in part}
    missing = [domain for domain in DOMAINS if domain in decoded and domain not in there]
    if missing:
        parts = ' and '.join(f'the {name} returns {tuple(part)}' for name, part in returned.items())
        raise DatasetCheckError(
            f'CrossDomainDataset needs {missing[0]!r} for domains={tuple(domains)}, but {parts} and no transform of '
            'its pipeline adds it: take a dataset that returns it and names it in its attribute domains, or a '
            "transform that adds it (LABTransfer makes 'source_night'), or take it out of domains."
        )


def check_made_once(transforms: Sequence[Callable], returned: Mapping[str, Sequence[str]]) -> None:
    """Check that no transform makes a domain that a data set returns: it would be overwritten.

    Args:
        transforms: Transforms of the whole sample.
        returned: Domains that each dataset returns, by its name in a message.

    Raises:
        DatasetCheckError: If one does.
    """
    for transform in transforms:
        for name, part in returned.items():
            for domain in part:
                if domain in getattr(transform, 'adds', ()):
                    raise DatasetCheckError(
                        f'{type(transform).__name__} makes {domain!r}, which the {name} returns already: expected one '
                        f'of the two; take {type(transform).__name__} out of the pipeline of CrossDomainDataset.'
                    )


def by_domain(results: Any, alone: str, role: str, dataset: Any) -> dict[str, Any]:
    """Results of a dataset by domain.

    Args:
        results: What its pipeline returned: results by domain, or those of one image.
        alone: Domain of the results of one image.
        role: ``'source'`` or ``'target'``, for the message.
        dataset: The dataset, for the message.

    Returns:
        Results by domain.

    Raises:
        TypeError: If it is neither.
    """
    if isinstance(results, Mapping):
        found = {domain: results[domain] for domain in DOMAINS if domain in results}
        if found:
            return found
        if 'img' in results:
            return {alone: dict(results)}
    raise UserInputError(
        f'The {role} {type(dataset).__name__} returned neither results by domain nor those of one image: expected a '
        "dict with names of domains, or with 'img'; leave packing out of its pipeline."
    )
