"""The folder of a labelling: what is done, what is left, and the manifest that says what the labels are."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.logging import print_log
from PIL import Image

from ...datasets.file_check import DatasetCheckError
from ...datasets.file_scan import map_parallel
from ...datasets.night_labels import (
    LABEL_MANIFEST,
    MANIFEST_FORMAT,
    label_path,
    read_label_manifest,
)
from ...errors import UserInputError
from ...label_ids import IGNORE_INDEX
from ...runtime.atomic_file import write_atomically
from ...runtime.output_place import check_output_folder
from .guesses import GuessedImage
from .thresholds import Guess

#: What waits for the thresholds and the manifest, below the folder.
DRAFTS = '.drafts'
#: Share of the labelled pixels above which one class is reported.
LARGEST_SHARE = 0.95


class LabelFolder:
    """A folder of pseudo labels, finished or under way; nothing in it is ever replaced by something else.

    Args:
        path: The folder; it need not exist.
        names: The images, relative to their folder.
        settings: What the labels depend on, plain values by name; with ``classes``.

    Raises:
        UserInputError: If the folder holds labels of other settings, or anything else, or cannot be written.
    """

    def __init__(self, path: str, names: Sequence[str], settings: Mapping[str, Any]) -> None:
        self.path = path
        self.names = list(names)
        self.settings = json.loads(json.dumps(dict(settings)))
        self.finished = False
        self._refuse_same_labels()
        if not os.path.lexists(path) or (os.path.isdir(path) and not os.listdir(path)):
            check_output_folder(path)
            return
        try:
            manifest = read_label_manifest(path)
        except DatasetCheckError as error:
            raise UserInputError(
                f'--out {path!r} exists and is no folder of pseudo labels: expected a new folder, or one to go on '
                'with; name another'
            ) from error
        before = manifest['settings']
        changed = sorted(
            key for key in {*before, *self.settings} if before.get(key) != self.settings.get(key)
        )
        if changed:
            raise UserInputError(
                f'--out {path!r} holds labels of other settings (other {", ".join(changed)}): expected to go on '
                'with the same ones; name another folder, or remove this one'
            )
        self.finished = bool(manifest['finished'])
        gone = [name for name in self.names if not os.path.isfile(label_path(path, name))]
        if self.finished and gone:
            raise UserInputError(
                f'--out {path!r} is finished, but the label of {gone[0]!r} is missing: expected all of them; remove '
                'the folder and label again'
            )
        if not self.finished:
            check_output_folder(path)

    def _refuse_same_labels(self) -> None:
        """Refuse two images that differ in the suffix alone."""
        taken: dict[str, str] = {}
        for name in self.names:
            other = taken.setdefault(label_path('', name), name)
            if other != name:
                raise UserInputError(
                    f'the images {other!r} and {name!r} would have one label: expected a name of its own for every '
                    'image; rename one'
                )

    def begin(self) -> None:
        """Write down what the folder is for; nothing if it has begun."""
        os.makedirs(self.path, exist_ok=True)
        if not os.path.isfile(os.path.join(self.path, LABEL_MANIFEST)):
            self._write_manifest(finished=False, images={})

    def without_label(self, names: Sequence[str]) -> list[str]:
        """The images that have no label yet, of some."""
        return [name for name in names if not os.path.isfile(label_path(self.path, name))]

    def without_draft(self, names: Sequence[str]) -> list[str]:
        """The images that have no draft yet, of some."""
        return [name for name in names if not os.path.isfile(self._draft(name))]

    def _draft(self, name: str) -> str:
        return os.path.join(self.path, DRAFTS, f'{name}.npz')

    def write_draft(self, name: str, image: GuessedImage) -> None:
        """Keep a prediction until there are thresholds."""
        content = io.BytesIO()
        np.savez(content, size=np.array(image.size), **image.guess._asdict())
        _write(self._draft(name), content.getvalue())

    def read_draft(self, name: str) -> GuessedImage:
        """Read a prediction that was kept."""
        with np.load(self._draft(name)) as draft:
            width, height = draft['size'].tolist()
            return GuessedImage(Guess(draft['classes'], draft['confidence']), (width, height))

    def write_note(self, name: str, note: Mapping[str, Any]) -> None:
        """Keep what is said of an image until the manifest is written."""
        _write(self._note(name), json.dumps(note).encode())

    def _note(self, name: str) -> str:
        return os.path.join(self.path, DRAFTS, f'{name}.json')

    def write_label(self, name: str, label: np.ndarray, size: tuple[int, int]) -> None:
        """Write a label at the size of its image: nearest, grey, one byte a pixel.

        Args:
            name: The image.
            label: uint8 ``(h, w)``.
            size: Width and height of the image.
        """
        full = cv2.resize(label, size, interpolation=cv2.INTER_NEAREST)
        _write(label_path(self.path, name), cv2.imencode('.png', full)[1].tobytes())

    def finish(self, thresholds: np.ndarray) -> dict[str, Any]:
        """Write the manifest of all labels, and remove the drafts.

        Args:
            thresholds: float32 ``(K,)``.

        Returns:
            The manifest.
        """
        classes: list[str] = self.settings['classes']
        counts = np.zeros(256, np.int64)
        images: dict[str, Any] = {}
        facts = map_parallel(self._facts, self.names, 'Reading the labels back')
        for name, (entry, histogram) in zip(self.names, facts, strict=True):
            images[name] = entry
            counts += histogram
        pixels = {
            name: int(count) for name, count in zip(classes, counts[: len(classes)], strict=True)
        }
        manifest = self._write_manifest(
            finished=True,
            thresholds=dict(zip(classes, thresholds.astype(float).tolist(), strict=True)),
            pixels={**pixels, 'ignored': int(counts[IGNORE_INDEX])},
            images=images,
        )
        shutil.rmtree(os.path.join(self.path, DRAFTS), ignore_errors=True)
        _warn_of_largest(pixels)
        return manifest

    def _facts(self, name: str) -> tuple[dict[str, Any], np.ndarray]:
        """What the manifest says of a label, and how often it holds each value."""
        with open(label_path(self.path, name), 'rb') as file:
            content = file.read()
        label = np.asarray(Image.open(io.BytesIO(content)))
        histogram = np.bincount(label.ravel(), minlength=256)
        share = 1 - histogram[IGNORE_INDEX] / label.size
        entry: dict[str, Any] = dict(
            status='labelled' if share else 'empty',
            labelled=round(float(share), 6),
            size=[label.shape[1], label.shape[0]],
            sha256=hashlib.sha256(content).hexdigest(),
        )
        if os.path.isfile(self._note(name)):
            with open(self._note(name), encoding='utf-8') as file:
                entry['alignment'] = json.load(file)
        return entry, histogram

    def _write_manifest(self, **facts: Any) -> dict[str, Any]:
        manifest = {'format': MANIFEST_FORMAT, 'settings': self.settings, **facts}
        text = json.dumps(manifest, indent=1) + '\n'
        write_atomically(os.path.join(self.path, LABEL_MANIFEST), text.encode())
        return manifest


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_atomically(path, content)


def _warn_of_largest(pixels: Mapping[str, int]) -> None:
    """Report a class that has nearly all labels."""
    total = sum(pixels.values())
    if not total:
        message = (
            'no pixel is sure enough for a pseudo label: look at the checkpoint and the threshold'
        )
    else:
        name = max(pixels, key=lambda key: pixels[key])
        if pixels[name] <= LARGEST_SHARE * total:
            return
        message = (
            f'{name!r} has {pixels[name] / total:.1%} of the pseudo labels: look at some of them and at the checkpoint '
            'before you train on them'
        )
    print_log(message, logger='current', level=logging.WARNING)
