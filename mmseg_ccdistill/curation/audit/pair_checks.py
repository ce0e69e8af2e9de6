"""Check that every pair of Dark Zurich, and every reference frame, can be resolved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ...datasets.file_check import DatasetCheckError
from ...datasets.published_sets import (
    ANON_SUFFIX,
    CORRESPONDENCES,
    DARK_ZURICH,
    PAIR_FOLDER,
    PAIR_LIST,
)
from ..prepare.archives import PreparationError
from ..prepare.lists import read_dark_zurich_pairs
from .findings import Finding, with_example
from .listing import PREPARE, ListedSplit, frame_key


def check_references(listed: ListedSplit, splits: Mapping[str, ListedSplit]) -> list[Finding]:
    """Check that every image of a split has its reference frame, and the other way round.

    Dark Zurich and ACDC name the two alike up to the frame number; what follows differs. ``splits`` are those
    of the set that are there, by name.
    """
    references = splits.get(listed.split.references or '')
    if references is None:
        return []
    faults = []
    for role, split, partner, others in (
        ('image', listed, 'reference frame', references),
        ('reference frame', references, 'image', listed),
    ):
        known = {frame_key(path) for path in others.images}
        alone = [path for path in split.images if frame_key(path) not in known]
        if alone:
            text = (
                f'The {role} {alone[0]!r} has no {partner} in '
                f'{os.path.join(others.root, others.split.images)!r}: expected one for every {role}; '
                'unpack the archive again.'
            )
            faults.append(with_example(text, alone))
    return [Finding(listed.published.name, listed.split.name, 'fault', text) for text in faults]


def check_pairs(root: str, splits: Mapping[str, ListedSplit]) -> list[Finding]:
    """One line if every night image of Dark Zurich has one day image and all files exist, else the faults."""
    night = splits.get('train night')
    if night is None:
        return []  # a fault of its own

    def fault(text: str) -> Finding:
        return Finding('dark_zurich', 'pairs', 'fault', text)

    path = os.path.join(root, PAIR_LIST)
    if not os.path.isfile(path):
        return [
            fault(
                f'The pair list {path!r} does not exist: expected {night.split.count} lines '
                f'night,day; make it, `{PREPARE} dark_zurich --root {root}`.'
            )
        ]
    try:
        pairs = read_dark_zurich_pairs(path)
        folder = os.path.join(root, CORRESPONDENCES)
        shipped = read_dark_zurich_pairs(folder) if os.path.isdir(folder) else None
    except (DatasetCheckError, PreparationError) as error:
        return [fault(str(error))]
    findings = [fault(text) for text in _unresolved(root, path, pairs)]
    paired = {os.path.join(root, PAIR_FOLDER, stem + ANON_SUFFIX) for stem, _ in pairs}
    unpaired = [image for image in night.images if image not in paired]
    if unpaired:
        text = (
            f'The night image {unpaired[0]!r} is in no pair of {path!r}: expected all '
            f'{night.split.count} night images; remove the list and make it anew, '
            f'`{PREPARE} dark_zurich --root {root}`.'
        )
        findings.append(fault(with_example(text, unpaired)))
    if shipped is not None and shipped != pairs:
        odd = sorted(set(pairs).symmetric_difference(shipped))
        text = (
            f'The pair list {path!r} differs from the pairs in '
            f'{folder!r}, e.g. in {",".join(odd[0])!r}: expected the '
            f'same pairs; remove the list and make it anew, `{PREPARE} dark_zurich --root {root}`.'
        )
        findings.append(fault(with_example(text, odd)))
    if findings:
        return findings
    days = len({day for _, day in pairs})
    return [
        Finding('dark_zurich', 'pairs', 'ok', f'{len(pairs)} night images with {days} day images')
    ]


def _unresolved(root: str, path: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Say which images of the pairs are missing."""
    faults = []
    for role, stems in zip(('night', 'day'), zip(*pairs, strict=True), strict=True):
        files = [
            os.path.join(root, PAIR_FOLDER, stem + ANON_SUFFIX) for stem in dict.fromkeys(stems)
        ]
        missing = [file for file in files if not os.path.isfile(file)]
        if missing:
            text = (
                f'The {role} image {missing[0]!r} of the pair list {path!r} does not exist: '
                f'expected both images of every pair; unpack {DARK_ZURICH.archives[0]} again.'
            )
            faults.append(with_example(text, missing))
    return faults
