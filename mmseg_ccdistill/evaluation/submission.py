"""Predictions in the form that the test servers of Dark Zurich and ACDC take."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from ..curation.audit.listing import list_files
from ..datasets.published_sets import ACDC, ACDC_CONDITIONS, ANON_SUFFIX, DARK_ZURICH, GOPRO_SIZE
from ..errors import UserInputError
from ..label_ids import IGNORE_INDEX, NUM_TRAIN_IDS
from ..runtime.atomic_file import write_atomically
from ..runtime.output_place import check_output_folder

#: Folders of a submission. Train ids, and 255 for no class at all.
LABELS = 'labelTrainIds'
#: Train ids, with 255 where the model rejects a pixel as unrecognisable (uncertainty-aware IoU).
LABELS_INVALID = 'labelTrainIds_invalid'
#: Confidence of each pixel, 0..65535 for 0..1 (average uncertainty-aware IoU).
CONFIDENCE = 'confidence'

#: Train ids of the 19 Cityscapes classes end here; 255 rejects a pixel.
MAX_TRAIN_ID, REJECTED = NUM_TRAIN_IDS - 1, IGNORE_INDEX

#: Largest value of a confidence image.
CONFIDENCE_SCALE = 65535

_STATE_NAME = 'run.json'


@dataclass(frozen=True)
class SubmissionSet:
    """What one server expects.

    Attributes:
        title: Name of the test set.
        image_folders: Where its images lie, relative to the data root; searched recursively.
        num_images: Number of its images.
        folders: Folders of the zip.
        name_pattern: Regular expression of its file names.
        sequences: Number of images by sequence, where it is known.
        size: Width and height of every image in pixels.
    """

    title: str
    image_folders: tuple[str, ...]
    num_images: int
    folders: tuple[str, ...]
    name_pattern: str
    sequences: Mapping[str, int] = field(default_factory=dict)
    size: tuple[int, int] = GOPRO_SIZE


_DZ, _ACDC_NIGHT = DARK_ZURICH.split('test night'), ACDC.split('test night')

#: What each server expects; folders, counts and sequences of ``published_sets``. The four
#: conditions of ACDC test have equal counts: 2000 of its 4006 images are tested.
SUBMISSION_SETS: dict[str, SubmissionSet] = {
    'dz-test': SubmissionSet(
        title='Dark Zurich test',
        image_folders=(_DZ.images,),
        num_images=_DZ.count,
        folders=(LABELS, LABELS_INVALID, CONFIDENCE),
        name_pattern=rf'({"|".join(_DZ.sequences)})_frame_\d{{6}}_rgb_anon\.png',
        sequences=_DZ.sequences,
    ),
    'acdc-night-test': SubmissionSet(
        title='ACDC night test',
        image_folders=(_ACDC_NIGHT.images,),
        num_images=_ACDC_NIGHT.count,
        folders=(LABELS,),
        name_pattern=r'[A-Z0-9]+_frame_\d{6}_rgb_anon\.png',
    ),
    'acdc-test': SubmissionSet(
        title='ACDC test',
        image_folders=tuple(
            _ACDC_NIGHT.images.replace('/night/', f'/{condition}/') for condition in ACDC_CONDITIONS
        ),
        num_images=_ACDC_NIGHT.count * len(ACDC_CONDITIONS),
        folders=(LABELS,),
        name_pattern=r'[A-Z0-9]+_frame_\d{6}_rgb_anon\.png',
    ),
}


def list_images(data_root: str | os.PathLike[str], target: SubmissionSet) -> list[Path]:
    """List the images of a test set.

    Args:
        data_root: Root of the data set, the folder that holds ``rgb_anon``.
        target: The test set.

    Returns:
        Paths, sorted by file name: the name is the key of an image on the server.

    Raises:
        UserInputError: If a folder is missing, images are missing or too many, or two have one name.
    """
    images: dict[str, Path] = {}
    for folder in target.image_folders:
        path = Path(data_root) / folder
        if not path.is_dir():
            raise UserInputError(
                f'the folder {str(path)!r} does not exist: expected images of {target.title}; '
                'unpack them there or name the root of the set with --data-root'
            )
        for image in map(Path, list_files(str(path), ANON_SUFFIX)):  # links are followed
            other = images.setdefault(image.name, image)
            if other != image:
                raise UserInputError(
                    f'{str(other)!r} and {str(image)!r} have one name: '
                    f'expected the images of {target.title} only; remove the copy'
                )
    if len(images) != target.num_images:
        raise UserInputError(
            f'{len(images)} images end in {ANON_SUFFIX!r} below {str(data_root)!r} in '
            f'{", ".join(target.image_folders)}: expected the {target.num_images} of '
            f'{target.title}; unpack the whole archive there and nothing else'
        )
    return [images[name] for name in sorted(images)]


def prediction_images(logits: Tensor, confidence_threshold: float = 0.0) -> dict[str, np.ndarray]:
    """Turn the logits of one image into what the server reads.

    Confidence is the largest softmax probability; a pixel whose confidence is below the threshold
    is rejected in ``labelTrainIds_invalid`` and keeps its class in ``labelTrainIds``.

    Args:
        logits: ``(K, H, W)`` at the image's own size: the argmax comes after upsampling.
        confidence_threshold: From 0 (rejects nothing) to 1.

    Returns:
        Images ``(H, W)`` by folder: both label maps uint8, the confidence uint16.
    """
    logits = logits.float()
    best, label = logits.max(dim=0)
    confidence = (best - logits.logsumexp(dim=0)).exp().clamp_(max=1)
    label = label.to(torch.uint8)
    rejected = label.masked_fill(confidence < confidence_threshold, REJECTED)
    scaled = (confidence * CONFIDENCE_SCALE).round().to(torch.int32)
    return {
        LABELS: label.cpu().numpy(),
        LABELS_INVALID: rejected.cpu().numpy(),
        CONFIDENCE: scaled.cpu().numpy().astype(np.uint16),
    }


class SubmissionParts:
    """The images of a submission in a folder beside its zip, until all of them are there.

    An interrupted run goes on where it stopped: an image is either whole or not there. The folder
    remembers what the run depends on, so that two models never meet in one zip.

    Args:
        out: The zip to be; the folder is ``<out>.parts``.
        target: The test set.
        run: What the run depends on, plain values by name.

    Raises:
        UserInputError: If the zip exists, is no ``.zip`` or cannot be written, or the folder holds parts of another
            run.
    """

    def __init__(
        self, out: str | os.PathLike[str], target: SubmissionSet, run: Mapping[str, Any]
    ) -> None:
        self.out = Path(out)
        self.target = target
        self.folder = self.out.with_name(f'{self.out.name}.parts')
        if self.out.suffix != '.zip':
            raise UserInputError(f'--out {str(out)!r}: expected a name that ends in .zip')
        self._refuse_to_overwrite()
        for folder in (self.out.parent, self.folder):
            check_output_folder(folder)
        self._state, self._run = self.folder / _STATE_NAME, json.loads(json.dumps(dict(run)))
        if self._state.is_file():
            before = json.loads(self._state.read_text())
            changed = sorted(
                key for key in {*before, *self._run} if before.get(key) != self._run.get(key)
            )
            if changed:
                raise UserInputError(
                    f'the folder {str(self.folder)!r} holds images of another run (other '
                    f'{", ".join(changed)}): expected to go on with the same run; '
                    'remove the folder or choose another --out'
                )
        elif self.folder.exists() and any(self.folder.iterdir()):
            raise UserInputError(
                f'{str(self.folder)!r} exists and is no folder of a submission: '
                'remove it or choose another --out'
            )

    def missing(self, images: Sequence[Path]) -> list[Path]:
        """The images whose predictions are not there yet."""
        return [
            image
            for image in images
            if not all((self.folder / f / image.name).is_file() for f in self.target.folders)
        ]

    def write(self, name: str, logits: Tensor, confidence_threshold: float) -> None:
        """Write the :func:`prediction_images` of one image, from logits ``(K, H, W)`` at its own size."""
        self._begin()
        pictures = prediction_images(logits, confidence_threshold)
        for folder in self.target.folders:
            encoded = cv2.imencode('.png', pictures[folder])[1]
            write_atomically(self.folder / folder / name, encoded.tobytes())

    def pack(self, names: Sequence[str]) -> Path:
        """Put the images into one temporary zip beside the final one; its time stamps are constant.

        :meth:`publish` gives it its name.
        """
        partial = self.folder / self.out.name
        with zipfile.ZipFile(partial, 'w', zipfile.ZIP_STORED) as archive:  # PNG is compressed
            for folder in self.target.folders:
                for name in sorted(names):
                    entry = zipfile.ZipInfo(f'{folder}/{name}')
                    entry.external_attr = 0o644 << 16
                    archive.writestr(entry, (self.folder / folder / name).read_bytes())
        return partial

    def publish(self, partial: Path) -> None:
        """Give a packed zip its name and remove the folder of parts."""
        self._refuse_to_overwrite()
        os.replace(partial, self.out)
        shutil.rmtree(self.folder)

    def _begin(self) -> None:
        """Make the folder with its record; not before there is something to write."""
        if not self._state.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._state, json.dumps(self._run, indent=2).encode())
        for name in self.target.folders:
            (self.folder / name).mkdir(exist_ok=True)

    def _refuse_to_overwrite(self) -> None:
        if self.out.exists():
            raise UserInputError(f'{str(self.out)!r} exists: remove it or choose another --out')
