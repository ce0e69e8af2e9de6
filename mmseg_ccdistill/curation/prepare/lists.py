"""The two lists that the recipe needs: pairs of Dark Zurich, stems of BDD100K-night."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...datasets.bdd100k_night import LAYOUTS, read_bdd100k_night_list
from ...datasets.pair_list import read_pair_list
from ...datasets.published_sets import (
    BDD100K,
    CORRESPONDENCES,
    DARK_ZURICH,
    NIGHT_LIST,
    PAIR_LIST,
    PUBLISHED_NIGHT_LIST,
    TWILIGHT_CORRESPONDENCES,
    TWILIGHT_LIST,
)
from ...runtime.atomic_file import write_atomically
from .archives import PreparationError


class DarkPairs(NamedTuple):
    """What a light of Dark Zurich has in pairs with days.

    Attributes:
        light: ``'night'`` or ``'twilight'``.
        pair_list: The list, relative to the root.
        correspondences: Folder of CSV files that the set ships, relative to the root.
    """

    light: str
    pair_list: str
    correspondences: str


NIGHT_PAIRS = DarkPairs('night', PAIR_LIST, CORRESPONDENCES)
TWILIGHT_PAIRS = DarkPairs('twilight', TWILIGHT_LIST, TWILIGHT_CORRESPONDENCES)


def read_dark_zurich_pairs(source: str, light: str = 'night') -> list[tuple[str, str]]:
    """Read the pairs of Dark Zurich, sorted by the dark image.

    Args:
        source: A CSV of ``night,day`` stems, or a folder of the set such as ``corresp/train/night``.
        light: What the dark images are, for the message. Defaults to ``'night'``.

    Returns:
        ``(night, day)`` sorted by night stem: the same list from either source.

    Raises:
        DatasetCheckError: If there is nothing to read or a line is no pair of stems.
        PreparationError: If a dark image is paired twice.
    """
    pairs = sorted(set(read_pair_list(source)))
    for (night, day), (next_night, next_day) in zip(pairs, pairs[1:], strict=False):
        if night == next_night:
            raise PreparationError(
                f'The pair list {source!r} pairs {night!r} with {day!r} and with {next_day!r}: '
                f'expected one day image for every {light} image; remove one of the lines.'
            )
    return pairs


def write_dark_zurich_pairs(
    root: str, source: str | None = None, pairs_of: DarkPairs = NIGHT_PAIRS
) -> tuple[str, int]:
    """Write a pair list of Dark Zurich, ``lists/zurich_dn_pair_train.csv`` for the nights.

    Args:
        root: Root of the set.
        source: An existing CSV or folder of CSV files. Defaults to the folder that the set ships
            (``corresp/train/night``) below the root or, if it came without it, the list that is there.
        pairs_of: Which pairs. Defaults to :data:`NIGHT_PAIRS`.

    Returns:
        Path of the list and its number of pairs.

    Raises:
        DatasetCheckError: If there is nothing to read or a line is no pair of stems.
        PreparationError: If there is no source, a dark image is paired twice, or another list is there.
    """
    path = os.path.join(root, pairs_of.pair_list)
    correspondences = os.path.join(root, pairs_of.correspondences)
    if source is None:
        source = correspondences if os.path.isdir(correspondences) else path
        if not os.path.exists(source):
            raise PreparationError(
                f'The folder {correspondences!r} does not exist: expected the pairs that '
                f'{DARK_ZURICH.archives[0]} holds; give that archive as a source, or an existing '
                'list with --list.'
            )
    pairs = read_dark_zurich_pairs(source, pairs_of.light)
    _write_list(path, [f'{dark},{day}' for dark, day in pairs], _read_lines)
    return path, len(pairs)


def write_bdd100k_night(root: str, source: str) -> tuple[str, int]:
    """Write the stems of BDD100K-night to ``lists/bdd100k_night.txt`` and look for their files.

    Args:
        root: Root of BDD100K in the old or the new layout.
        source: The published list, in either layout (:func:`read_bdd100k_night_list`).

    Returns:
        Path of the list and its number of stems, which are the same in both layouts.

    Raises:
        DatasetCheckError: If a line names no image, or one again.
        PreparationError: If the list is missing or empty, another one is there already, or an image
            or label is not.
    """
    if not os.path.isfile(source):
        raise PreparationError(
            f'The list {source!r} does not exist: expected '
            f'{PUBLISHED_NIGHT_LIST} of MGCDA; give its path with --list.'
        )
    stems = sorted(read_bdd100k_night_list(source))
    if not stems:
        raise PreparationError(
            f'The list {source!r} is empty: expected one image a line; download it again.'
        )
    split = next((s for s in LAYOUTS.values() if os.path.isdir(os.path.join(root, s.images))), None)
    if split is None or split.labels is None:
        folders = ' or '.join(repr(s.images) for s in LAYOUTS.values())
        raise PreparationError(
            f'The root {root!r} holds no images of BDD100K: expected the folder {folders}; '
            f'give {" and ".join(BDD100K.archives)} as sources.'
        )
    for stem in stems:
        for folder, suffix in (
            (split.images, split.image_suffix),
            (split.labels, split.label_suffix),
        ):
            path = os.path.join(root, folder, stem + suffix)
            if not os.path.isfile(path):
                raise PreparationError(
                    f'The file {path!r} of the list {source!r} does not exist: expected image and '
                    'label of every line, from train and from val; unpack both archives.'
                )
    path = os.path.join(root, NIGHT_LIST)
    _write_list(path, stems, read_bdd100k_night_list)  # the published list may lie there
    return path, len(stems)


def _read_lines(path: str) -> list[str]:
    with open(path, encoding='utf-8-sig') as file:
        return [line.strip() for line in file if line.strip()]


def _write_list(path: str, lines: Sequence[str], read: Callable[[str], list[str]]) -> None:
    """Write a list whole or not at all; an equal one is kept, another one is not overwritten."""
    if os.path.exists(path):
        if sorted(read(path)) == list(lines):
            return
        raise PreparationError(
            f'The list {path!r} is there with other lines: expected the {len(lines)} that were '
            'read now; move it away and run this again.'
        )
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(path, ''.join(f'{line}\n' for line in lines).encode())
