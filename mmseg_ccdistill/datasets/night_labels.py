"""Pseudo labels in a folder: their names, their manifest, and whether they fit a data set."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mmseg.datasets.transforms import LoadAnnotations

from ..runtime.file_digest import file_digest
from .class_names import class_difference
from .file_check import DatasetCheckError

#: What lies beside the labels and says what they are.
LABEL_MANIFEST = 'manifest.json'
#: Changes with the meaning of the manifest.
MANIFEST_FORMAT = 1


class LabelSettings(NamedTuple):
    """How a data set calls its settings, for messages.

    Attributes:
        folder: The setting that names the folder of the labels.
        made_by: The setting that names the checkpoint which must have made them.
    """

    folder: str = 'night_label_dir'
    made_by: str = 'night_labels_of'

    @property
    def fix(self) -> str:
        """What to do about labels that do not fit."""
        return f'make labels with tools/pseudo_label.py, or correct {self.folder}'


#: Of the data sets of day-night pairs.
NIGHT_SETTINGS = LabelSettings()


class LoadNightLabels(LoadAnnotations):
    """mmseg's ``LoadAnnotations`` for the labelled image of a pair; the other one passes as it is.

    Required Keys:

    - seg_map_path (optional)

    Added Keys, where there is a label:

    - gt_seg_map (uint8 ``(H, W)``)
    """

    def transform(self, results: dict) -> dict:
        """Load the label, if the image has one.

        Args:
            results: Results of one image.
        """
        return super().transform(results) if 'seg_map_path' in results else results


def label_path(folder: str, name: str) -> str:
    """The label of an image.

    Args:
        folder: Folder of the labels.
        name: The image, relative to the folder of the images.

    Returns:
        The same name below ``folder``, as PNG.
    """
    return os.path.join(folder, f'{os.path.splitext(name)[0]}.png')


def read_label_manifest(folder: str, called: LabelSettings = NIGHT_SETTINGS) -> dict[str, Any]:
    """Read what is said of the labels of a folder, finished or not.

    Args:
        folder: Folder of the labels.
        called: How the data set calls its settings.

    Returns:
        The manifest: ``finished``, ``settings`` (with ``classes``), ``images`` by name.

    Raises:
        DatasetCheckError: If there is none, or it is not one of ours.
    """
    if not os.path.isdir(folder):
        raise DatasetCheckError(
            f'The folder {folder!r} of pseudo labels does not exist: expected the labels of all images; '
            f'{called.fix}.'
        )
    path = os.path.join(folder, LABEL_MANIFEST)
    try:
        with open(path, encoding='utf-8') as file:
            manifest = json.load(file)
        if manifest['format'] == MANIFEST_FORMAT and {'finished', 'settings', 'images'} <= {
            *manifest
        }:
            return manifest
        reason = f'its format is {manifest["format"]!r}'
    except FileNotFoundError:
        reason = 'there is no such file'
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f'{type(error).__name__}: {error}'
    raise DatasetCheckError(
        f'{path!r} is no manifest of pseudo labels ({reason}): expected one of format {MANIFEST_FORMAT}; {called.fix}.'
    )


def label_metainfo(folder: str | None) -> dict[str, Any]:
    """Classes and palette of the labels of a folder.

    Args:
        folder: Folder of the labels, or None.

    Returns:
        ``classes`` and ``palette``; nothing if there are no labels yet.
    """
    if folder is None:
        return {}
    try:
        settings = read_label_manifest(folder)['settings']
    except DatasetCheckError:  # told when the files are listed
        return {}
    return {key: settings[key] for key in ('classes', 'palette') if settings.get(key)}


def check_pseudo_labels(
    folder: str,
    names: Iterable[str],
    classes: Iterable[str],
    where: str,
    made_by: str | None,
    called: LabelSettings = NIGHT_SETTINGS,
    exactly: bool = True,
) -> None:
    """Check that the labels of a folder are those of these images.

    Args:
        folder: Folder of the labels.
        names: The images, relative to their folder.
        classes: Names of the classes that the data set has.
        where: What names the images, for the message: the list or the folder.
        made_by: Checkpoint that must have made the labels; None takes any.
        called: How the data set calls its settings.
        exactly: Whether there may be no labels of other images.

    Raises:
        DatasetCheckError: If the labelling is not finished, was of other images, classes or another checkpoint, or a
            file is missing.
    """
    manifest = read_label_manifest(folder, called)
    if not manifest['finished']:
        raise DatasetCheckError(
            f'The pseudo labels in {folder!r} are not finished: expected the labels of all images; give the command of '
            'tools/pseudo_label.py again, it goes on where it stopped.'
        )
    _check_maker(folder, manifest['settings'], made_by, called)
    _check_classes(folder, manifest['settings'], list(classes), called)
    wanted, found = set(names), set(manifest['images'])
    for missing, text in (
        (wanted - found, f'no label for {{!r}}, which {where} names'),
        (found - wanted if exactly else set(), f'a label for {{!r}}, which {where} does not name'),
    ):
        if missing:
            raise DatasetCheckError(
                f'The pseudo labels in {folder!r} are of another list: there is {text.format(min(missing))}; expected '
                f'labels of {"exactly " if exactly else ""}these images; {called.fix}.'
            )
    for name in sorted(wanted):
        path = label_path(folder, name)
        if not os.path.isfile(path):
            raise DatasetCheckError(
                f'The pseudo label {path!r} is missing: expected every label of the manifest beside it; remove '
                f'{os.path.join(folder, LABEL_MANIFEST)!r} and its folder and label again.'
            )


def _check_maker(
    folder: str, settings: Mapping[str, Any], made_by: str | None, called: LabelSettings
) -> None:
    """Check which checkpoint has made the labels."""
    if made_by is None:
        return
    if not os.path.isfile(made_by):
        raise DatasetCheckError(
            f'{called.made_by} names the checkpoint {made_by!r}, which does not exist: expected the one that made the '
            f'labels in {folder!r}; correct it, or set {called.made_by}=None to take them from any.'
        )
    if file_digest(made_by) != settings.get('checkpoint'):
        raise DatasetCheckError(
            f'The pseudo labels in {folder!r} were made by another checkpoint than {made_by!r}: expected labels of the '
            f'stage before; make them anew in another folder, or correct {called.made_by}.'
        )


def _check_classes(
    folder: str, settings: Mapping[str, Any], classes: list[str], called: LabelSettings
) -> None:
    """Check that the labels number the classes as the data set does."""
    difference = class_difference(
        classes, list(settings.get('classes') or ()), ('the data set', 'the labels')
    )
    if difference is not None:
        raise DatasetCheckError(
            f'The pseudo labels in {folder!r} have other classes ({difference}): expected the same names in the same '
            f'order; {called.fix}.'
        )
