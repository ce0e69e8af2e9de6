"""Frames that two splits share, found by hash: leaks between training and test, between sets.

ACDC-night and Dark Zurich were cut from the same recordings and name their frames alike.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from ...datasets.file_scan import map_processes
from .file_facts import hash_file, hash_pixels
from .findings import Finding, Verdict
from .listing import ListedSplit, frame_key

#: Sets that share frames as published: told, but nothing that the user could fix.
_KNOWN = frozenset({'acdc', 'dark_zurich'})


class Shared(NamedTuple):
    """Frames that two splits share.

    Attributes:
        first: One split.
        second: The other.
        by_file: Pairs of images whose files are equal.
        by_pixels: Pairs of images of one frame name whose files differ and whose pixels are equal.
        by_name: Pairs of images of one file name whose pixels differ.
    """

    first: ListedSplit
    second: ListedSplit
    by_file: Sequence[tuple[str, str]]
    by_pixels: Sequence[tuple[str, str]]
    by_name: Sequence[tuple[str, str]]


def find_shared(
    splits: Sequence[ListedSplit],
    digests: Mapping[str, str | None] | None = None,
    workers: int | None = None,
) -> list[Shared]:
    """Compare all images of all splits.

    Args:
        splits: The splits.
        digests: Hash of every image file, None for a broken one. Without them only files of equal
            size in bytes are hashed, and no pixels are compared.
        workers: Processes.

    Returns:
        What any two splits share; splits that share nothing are left out.
    """
    owner = {image: index for index, listed in enumerate(splits) for image in listed.images}
    found: dict[tuple[int, int], tuple[list, list, list]] = defaultdict(lambda: ([], [], []))
    known = _hash_candidates(owner, workers) if digests is None else digests
    for first, second in _matches({image: known.get(image) for image in owner}, owner):
        found[owner[first], owner[second]][0].append((first, second))
    if digests is not None:
        named = _same_names(splits, digests)
        paths = list(dict.fromkeys(path for pair in named for path in pair))
        hashed = map_processes(hash_pixels, paths, 'Comparing frames of one name', workers)
        pixels = dict(zip(paths, hashed, strict=True))
        for first, second in named:
            lists = found[owner[first], owner[second]]
            if pixels[first] is not None and pixels[first] == pixels[second]:
                lists[1].append((first, second))
            elif os.path.basename(first) == os.path.basename(second):
                lists[2].append((first, second))
    return [
        Shared(splits[first], splits[second], *lists)
        for (first, second), lists in sorted(found.items())
        if any(lists)
    ]


def _matches(digests: Mapping[str, str | None], owner: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of images of different splits with equal digests; one of each split is enough."""
    groups: dict[str, dict[int, str]] = defaultdict(dict)
    for image, digest in digests.items():
        if digest is not None:
            groups[digest].setdefault(owner[image], image)
    return [
        (group[first], group[second])
        for group in groups.values()
        for first, second in combinations(sorted(group), 2)
    ]


def _hash_candidates(owner: Mapping[str, int], workers: int | None) -> dict[str, str | None]:
    """Hash the files whose size in bytes occurs in more than one split."""
    sizes = {image: os.path.getsize(image) for image in owner if os.path.isfile(image)}
    splits_of_size: dict[int, set[int]] = defaultdict(set)
    for image, size in sizes.items():
        splits_of_size[size].add(owner[image])
    paths = [image for image, size in sizes.items() if len(splits_of_size[size]) > 1]
    hashed = map_processes(hash_file, paths, 'Comparing files of equal size', workers)
    return dict(zip(paths, hashed, strict=True))


def _same_names(
    splits: Sequence[ListedSplit], digests: Mapping[str, str | None]
) -> list[tuple[str, str]]:
    """Pairs of images of two sets that are named alike and are not one file."""
    groups: dict[tuple[str, bool], list[tuple[str, str]]] = defaultdict(list)
    for listed in splits:
        for image in listed.images:
            key = (frame_key(image), listed.split.role == 'reference')
            groups[key].append((listed.published.name, image))
    return [
        (first, second)
        for group in groups.values()
        for (first_set, first), (second_set, second) in combinations(group, 2)
        if first_set != second_set and digests.get(first) != digests.get(second)
    ]


def describe_shared(shared: Sequence[Shared]) -> list[Finding]:
    """Say what is shared and what it means."""
    findings = []
    for pair in shared:
        sets = (pair.first.published.name, pair.second.published.name)
        names = '+'.join(dict.fromkeys(sets))
        check = f'{pair.first.split.name} / {pair.second.split.name}'
        equal = [*pair.by_file, *pair.by_pixels]
        if equal:
            verdict, meaning = _meaning(pair)
            text = (
                f'{_title(pair.first)} ({len(pair.first.images)} images) and {_title(pair.second)} '
                f'({len(pair.second.images)}) share {len(equal)} by hash of the file '
                f'({len(pair.by_file)}) or of the pixels ({len(pair.by_pixels)}), '
                f'e.g. {equal[0][0]!r} is {equal[0][1]!r}: {meaning}.'
            )
            findings.append(Finding(names, check, verdict, text))
        if pair.by_name:
            first, second = pair.by_name[0]
            text = (
                f'{_title(pair.first)} and {_title(pair.second)} use {len(pair.by_name)} file '
                f'names for different pictures, e.g. {first!r} and {second!r}: '
                'keep predictions and caches of the two sets in folders of their own.'
            )
            findings.append(Finding(names, check, 'note', text))
    return findings


def _title(listed: ListedSplit) -> str:
    return f'{listed.published.title} {listed.split.name}'


def _meaning(pair: Shared) -> tuple[Verdict, str]:
    first, second = pair.first, pair.second
    roles = Counter((first.split.role, second.split.role))
    if roles['reference']:
        return 'note', 'reference frames are not scored'
    if first.published.name == second.published.name:
        return 'fault', 'expected splits that share no frame; unpack the set again'
    labelled = [listed for listed in (first, second) if listed.split.labels is not None]
    if roles['test'] == 2:
        meaning = 'the two scores are not independent of each other'
    elif roles['test']:
        seen, scored = (first, second) if first.split.role == 'train' else (second, first)
        meaning = f'a model trained on {_title(seen)} must not be scored on {_title(scored)}'
    elif labelled:
        other = second if labelled[0] is first else first
        meaning = (
            f'the labels of {_title(labelled[0])} must not be used where {_title(other)} '
            'counts as unlabelled'
        )
    else:
        meaning = 'the two do not add up to more data'
    if {first.published.name, second.published.name} == _KNOWN:
        return 'leak', f'{meaning} (they were published so)'
    return 'fault', f'{meaning}; unpack both sets again'
