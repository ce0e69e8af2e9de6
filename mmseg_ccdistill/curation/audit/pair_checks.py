"""Check that every pair of Dark Zurich, and every reference frame, can be resolved."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ...datasets.file_check import DatasetCheckError
from ...datasets.published_sets import ANON_SUFFIX, DARK_ZURICH, PAIR_FOLDER
from ..prepare.archives import PreparationError
from ..prepare.lists import NIGHT_PAIRS, DarkPairs, read_dark_zurich_pairs
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


def check_pairs(
    root: str, splits: Mapping[str, ListedSplit], pairs_of: DarkPairs = NIGHT_PAIRS
) -> list[Finding]:
    """Check the pairs of Dark Zurich with days.

    Args:
        root: Root of Dark Zurich.
        splits: Its splits that are there, by name.
        pairs_of: Which pairs. Defaults to :data:`NIGHT_PAIRS`.

    Returns:
        One line if every dark image has one day image and all files exist, else the faults. Without a list of
        twilight, which CCDistill does not read, a note.
    """
    light = pairs_of.light
    check = 'pairs' if pairs_of is NIGHT_PAIRS else f'{light} pairs'
    dark = splits.get(f'train {light}')
    if dark is None:
        return []  # a fault of its own, where the recipe needs it

    def fault(text: str) -> Finding:
        return Finding('dark_zurich', check, 'fault', text)

    path = os.path.join(root, pairs_of.pair_list)
    remake = f'`{PREPARE} dark_zurich --root {root}`'
    if not os.path.isfile(path):
        text = (
            f'The pair list {path!r} does not exist: expected {dark.split.count} lines {light},day; '
            f'make it, {remake}.'
        )
        if pairs_of is NIGHT_PAIRS:
            return [fault(text)]
        return [Finding('dark_zurich', check, 'note', f'{text} Only GCMA and MGCDA read it.')]
    try:
        pairs = read_dark_zurich_pairs(path, light)
        folder = os.path.join(root, pairs_of.correspondences)
        shipped = read_dark_zurich_pairs(folder, light) if os.path.isdir(folder) else None
    except (DatasetCheckError, PreparationError) as error:
        return [fault(str(error))]
    findings = [fault(text) for text in _unresolved(root, path, pairs, light)]
    paired = {os.path.join(root, PAIR_FOLDER, stem + ANON_SUFFIX) for stem, _ in pairs}
    unpaired = [image for image in dark.images if image not in paired]
    if unpaired:
        text = (
            f'The {light} image {unpaired[0]!r} is in no pair of {path!r}: expected all '
            f'{dark.split.count} {light} images; remove the list and make it anew, {remake}.'
        )
        findings.append(fault(with_example(text, unpaired)))
    if shipped is not None and shipped != pairs:
        odd = sorted(set(pairs).symmetric_difference(shipped))
        text = (
            f'The pair list {path!r} differs from the pairs in '
            f'{folder!r}, e.g. in {",".join(odd[0])!r}: expected the '
            f'same pairs; remove the list and make it anew, {remake}.'
        )
        findings.append(fault(with_example(text, odd)))
    if findings:
        return findings
    days = len({day for _, day in pairs})
    text = f'{len(pairs)} {light} images with {days} day images'
    return [Finding('dark_zurich', check, 'ok', text)]


def _unresolved(root: str, path: str, pairs: Sequence[tuple[str, str]], light: str) -> list[str]:
    """Say which images of the pairs are missing."""
    faults = []
    for role, stems in zip((light, 'day'), zip(*pairs, strict=True), strict=True):
        files = [
            os.path.join(root, PAIR_FOLDER, stem + ANON_SUFFIX) for stem in dict.fromkeys(stems)
        ]
        missing = [
            file for file in files if not os.path.lexists(file)
        ]  # links are looked at by their split
        if missing:
            text = (
                f'The {role} image {missing[0]!r} of the pair list {path!r} does not exist: '
                f'expected both images of every pair; unpack {DARK_ZURICH.archives[0]} again.'
            )
            faults.append(with_example(text, missing))
    return faults
