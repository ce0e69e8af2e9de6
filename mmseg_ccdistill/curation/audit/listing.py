"""List the files of each split below a root, and say what is missing or out of place."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ...datasets.bdd100k_night import read_bdd100k_night_list
from ...datasets.file_check import DatasetCheckError
from ...datasets.night_frames import is_reference_frame
from ...datasets.published_sets import (
    BDD100K,
    DARK_ZURICH,
    PUBLISHED_NIGHT_LIST,
    PublishedSet,
    Split,
)
from ...label_ids import label_ids_beside
from .findings import Finding, with_example

PREPARE = 'python tools/dataset_converters/prepare.py'

_FRAME = re.compile(r'.*_frame_\d+')


class ListedSplit(NamedTuple):
    """The files of a split that are there.

    Attributes:
        published: The set.
        root: Its root.
        split: The split.
        images: Images, sorted.
        labels: Label by image, for labelled splits; only those that exist, or whose link does.
    """

    published: PublishedSet
    root: str
    split: Split
    images: tuple[str, ...]
    labels: Mapping[str, str]


def frame_key(path: str) -> str:
    """Name of the frame that a file shows: ``GOPR0356_frame_000321`` for image and reference."""
    name = os.path.basename(path)
    match = _FRAME.match(name)
    return match[0] if match else os.path.splitext(name)[0]


def list_files(folder: str, suffix: str) -> list[str]:
    """List the files below a folder whose names end in a suffix, sorted; links are followed, hidden files left out."""
    return sorted(
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if name.endswith(suffix) and not name.startswith('.')
    )


def find_layout(published: PublishedSet, root: str) -> tuple[Split, ...]:
    """Choose the layout of a set whose images are there; the first one if none is."""
    for splits in published.layouts.values():
        if any(os.path.isdir(os.path.join(root, split.images)) for split in splits):
            return splits
    return next(iter(published.layouts.values()))


def list_split(
    published: PublishedSet, root: str, split: Split
) -> tuple[ListedSplit | None, list[Finding]]:
    """List a split, None if its folder is missing, and compare it with what was published."""
    folder = os.path.join(root, split.images)
    if not os.path.isdir(folder):
        return None, [_missing_folder(published, root, split)]
    found = list_files(folder, split.image_suffix)
    faults: list[str] = []
    if split.role != 'reference':
        strangers = [
            path
            for path in list_files(folder, '.png')
            if is_reference_frame(os.path.relpath(path, folder))
        ]
        if strangers:
            faults.append(
                with_example(
                    f'The reference frame {strangers[0]!r} lies in {folder!r}: expected images of '
                    'the split alone; move reference frames back to their own folder.',
                    strangers,
                )
            )
        found = sorted(set(found).difference(strangers))
    if split.stems is not None:
        found, missing = _take_stems(root, split, found)
        faults += missing
    else:
        faults += _count_faults(published, root, split, found)
    labels = {}
    if split.labels is not None:
        labels = {
            image: label
            for image in found
            if os.path.lexists(label := label_of(root, split, image))
        }
    if split.labels is not None:
        faults += _label_faults(published, root, split, found, labels)
    listed = ListedSplit(published, root, split, tuple(found), labels)
    findings = [Finding(published.name, split.name, 'fault', text) for text in faults]
    return listed, findings


def label_of(root: str, split: Split, image: str) -> str:
    """Path of the label of an image."""
    assert split.labels is not None
    stem = os.path.relpath(image, os.path.join(root, split.images))[: -len(split.image_suffix)]
    return os.path.join(root, split.labels, stem + split.label_suffix)


def _prepare_command(published: PublishedSet, root: str, source: str = '') -> str:
    sources = source or ' '.join(published.archives)
    return f'`{PREPARE} {published.name} {sources} --root {root}`'


def _missing_folder(published: PublishedSet, root: str, split: Split) -> Finding:
    """Say where the images of a missing folder lie instead, if they lie anywhere."""
    folder = os.path.join(root, split.images)
    wrapper = _find_wrapper(root, split.images)
    flat = os.path.join('rgb_anon', 'train')
    if wrapper is not None:
        text = (
            f'The folder {split.images!r} lies in {wrapper!r}: expected it directly below '
            f'{root!r}; run {_prepare_command(published, root, wrapper)}.'
        )
    elif not split.needed:
        return Finding(
            published.name,
            split.name,
            'note',
            f'{folder!r} is not there; the recipe can do without.',
        )
    elif published.name == 'acdc' and os.path.isdir(os.path.join(root, flat)):
        text = (
            f'The root {root!r} holds {flat!r}: expected {split.images!r}, the conditions apart; '
            f'unpack the archives anew, {_prepare_command(published, root)}.'
        )
    else:
        text = (
            f'The folder {folder!r} does not exist: expected the {split.count} images of '
            f'{split.name}; run {_prepare_command(published, root)}.'
        )
    return Finding(published.name, split.name, 'fault', text)


def _find_wrapper(root: str, images: str) -> str | None:
    """Folder below the root, at most two deep, that the set was unpacked into."""
    folders = [root]
    for _ in range(2):
        folders = [
            entry.path
            for folder in folders
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name)
            if entry.is_dir() and not entry.name.startswith('.')
        ]
        for folder in folders:
            if os.path.isdir(os.path.join(folder, images)):
                return folder
    return None


def _take_stems(root: str, split: Split, found: list[str]) -> tuple[list[str], list[str]]:
    """Keep the images that the list of a split names."""
    assert split.stems is not None
    path = os.path.join(root, split.stems)
    try:
        stems = read_bdd100k_night_list(path)
    except DatasetCheckError as error:
        return [], [str(error)]
    except OSError as error:
        return [], [
            f'The list {path!r} cannot be read ({error.strerror}): expected the {split.count} '
            f'stems of {split.name}; run `{PREPARE} bdd100k --root {root} --list {PUBLISHED_NIGHT_LIST}`.'
        ]
    faults = []
    found_in = Counter(stem.split('/')[0] for stem in stems)
    if len(stems) != split.count or found_in != split.sequences:
        expected = ', '.join(f'{count} of {name}' for name, count in split.sequences.items())
        faults.append(
            f'The list {path!r} names {len(stems)} images: expected {split.count}, {expected}; '
            f'move it away and run `{PREPARE} bdd100k --root {root} --list {PUBLISHED_NIGHT_LIST}`.'
        )
    images = [os.path.join(root, split.images, stem + split.image_suffix) for stem in stems]
    there = set(found)
    missing = [image for image in images if image not in there]
    if missing:
        faults.append(
            with_example(
                f'The image {missing[0]!r} of the list {path!r} does not exist: expected images of '
                f'train and of val; unpack {BDD100K.archives[0]} again.',
                missing,
            )
        )
    return sorted(there.intersection(images)), faults


def _count_faults(
    published: PublishedSet, root: str, split: Split, images: list[str]
) -> Iterator[str]:
    if len(images) == split.count:
        return
    folder = os.path.join(root, split.images)
    found = Counter(os.path.relpath(image, folder).split(os.sep)[0] for image in images)
    parts = [
        f'{name} has {found.get(name, 0)} of {count}'
        for name, count in split.sequences.items()
        if found.get(name, 0) != count
    ]
    parts += [f'{name} is not published' for name in sorted(set(found) - set(split.sequences))]
    detail = f' ({", ".join(parts[:4])})' if split.sequences and parts else ''
    if len(images) < split.count:
        fix = f'unpack the missing ones, {_prepare_command(published, root)}'
    else:
        fix = 'take out those that do not belong to the split'
    yield (
        f'{folder!r} holds {len(images)} images that end in {split.image_suffix!r}{detail}: '
        f'expected {split.count}; {fix}.'
    )


def _label_faults(
    published: PublishedSet,
    root: str,
    split: Split,
    images: list[str],
    labels: Mapping[str, str],
) -> Iterator[str]:
    assert split.labels is not None
    missing = [image for image in images if image not in labels]
    if missing:
        label = label_of(root, split, missing[0])
        if published.name == 'cityscapes' and label_ids_beside(label) is not None:
            fix = f'make it from the labelIds beside it, `{PREPARE} {published.name} --root {root}`'
        else:
            fix = f'unpack {published.archives[-1]} again'
            if published.name == 'dark_zurich':
                fix = f'unpack {DARK_ZURICH.archives[1]} again'
        yield with_example(
            f'The label {label!r} of the image {missing[0]!r} does not exist: '
            f'expected one label for every image; {fix}.',
            missing,
        )
    if split.stems is None:
        folder = os.path.join(root, split.labels)
        alone = sorted(set(list_files(folder, split.label_suffix)) - set(labels.values()))
        if alone:
            yield with_example(
                f'The label {alone[0]!r} has no image: expected its image in '
                f'{os.path.join(root, split.images)!r}; restore the image or take the label out.',
                alone,
            )
