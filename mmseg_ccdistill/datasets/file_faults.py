"""Sentences about faulty files: each names the file, what was expected and how to fix it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..label_ids import expected_ids, foreign_ids_fault, label_ids_beside
from .image_facts import FileStamp, ImageFacts
from .image_orientation import loading_turns, orientation_fault, turned_size
from .label_palette import ids_of, palette_fault


class Sample(NamedTuple):
    """Files of one sample.

    Attributes:
        image: The image; of a day-night pair the night image.
        label: Its label, if the dataset has labels.
        day: Day image of a pair.
        translation: Night translation of a labelled day image.
    """

    image: str
    label: str | None
    day: str | None
    translation: str | None = None


def missing_fault(
    sample: Sample, stamps: Mapping[str, FileStamp | None], dataset: Any
) -> str | None:
    """Say which file of a sample is missing, or None."""
    ann_file = getattr(dataset, 'ann_file', None)
    where = f'the list {ann_file!r}' if ann_file else 'the image folder'
    if stamps[sample.image] is None:
        return (
            f'The image {sample.image!r} does not exist: expected every image of {where}; '
            'restore it, correct img_suffix, or take its line out of the list.'
        )
    if sample.day is not None and stamps[sample.day] is None:
        return (
            f'The day image {sample.day!r} of the night image {sample.image!r} does not exist: '
            f'expected both images of every pair of {where}; restore it or take the pair out.'
        )
    if sample.translation is not None and stamps[sample.translation] is None:
        return (
            f'The night translation {sample.translation!r} of the image {sample.image!r} does not exist: expected one '
            "for every image, of the same name below data_prefix['night_path']; make it, or correct night_suffix."
        )
    if sample.label is not None and stamps[sample.label] is None:
        return (
            f'The label {sample.label!r} of the image {sample.image!r} does not exist: '
            f'expected one label for every image; {_label_fix(sample.label)}.'
        )
    return None


def _conversion(label: str) -> str:
    """Cityscapes ships labelIds alone; the archives of the night sets hold both."""
    if '_gtFine_' in os.path.basename(label):
        return '`python tools/dataset_converters/prepare.py cityscapes`'
    return 'or unpack the archive of the labels again'


def _label_fix(label: str) -> str:
    if label_ids_beside(label) is not None:
        return f'convert the labelIds beside it to trainIds, {_conversion(label)}'
    return 'restore it, correct seg_map_suffix, or drop data_prefix.seg_map_path if unlabelled'


def turned_fault(sample: Sample, facts: Mapping[str, ImageFacts], dataset: Any) -> str | None:
    """Say that the EXIF orientation of a sample leaves open what its label belongs to, or None."""
    if sample.label is None:
        return None
    image, label = facts[sample.image], facts[sample.label]
    return orientation_fault(
        sample.image,
        sample.label,
        (image.orientation, label.orientation),
        ((image.width, image.height), (label.width, label.height)),
        _turns(dataset),
        getattr(dataset, 'has_predicted_labels', False),
    )


def _turns(dataset: Any) -> bool:
    return loading_turns(getattr(getattr(dataset, 'pipeline', None), 'transforms', ()))


def loaded_size(path: str, facts: Mapping[str, ImageFacts], dataset: Any) -> tuple[int, int]:
    """Width and height of an image as a dataset loads it."""
    found = facts[path]
    size = (found.width, found.height)
    return turned_size(size, found.orientation) if _turns(dataset) else size


def size_fault(sample: Sample, facts: Mapping[str, ImageFacts], dataset: Any) -> str | None:
    """Say that the sizes within a sample, as they are loaded, differ, or None."""

    def loaded(path: str) -> tuple[int, int]:
        if path == sample.label:  # never turned
            return facts[path].width, facts[path].height
        return loaded_size(path, facts, dataset)

    image = loaded(sample.image)
    for path, role, fix in (
        (sample.label, 'label', 'replace one of the two or correct seg_map_suffix'),
        (sample.day, 'day image', 'resize one of the two or take the pair out of the list'),
        (sample.translation, 'night translation', 'make it anew at the size of the image'),
    ):
        if path is None:
            continue
        other = loaded(path)
        if other != image:
            sizes = '{}x{}'.format(*other), '{}x{}'.format(*image)
            return (
                f'The {role} {path!r} has {sizes[0]} pixels, but its image '
                f'{sample.image!r} has {sizes[1]}: expected equal sizes; {fix}.'
            )
    return None


def values_fault(label: str, facts: Mapping[str, ImageFacts], dataset: Any) -> str | None:
    """Say that a label holds something else than class ids, or None."""
    ids = ids_of(dataset)
    if not ids.names:
        return None
    num_ids, ignore_index = len(ids.names), ids.ignore_index
    found = facts[label]
    if found.values is None:
        return (
            f'The label {label!r} is a colour image (mode {found.mode}): '
            f'{expected_ids(num_ids, ignore_index)}; convert its colours to ids or correct seg_map_suffix.'
        )
    relabel = f'convert it, {_conversion(label)}, or set seg_map_suffix to the labelTrainIds files'
    fault = foreign_ids_fault(f'The label {label!r}', found.values, num_ids, ignore_index, relabel)
    return fault or palette_fault(label, found.values, found.palette, ids)
