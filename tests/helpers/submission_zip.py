"""A small test set and a sound submission to it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ccdistill.evaluation.submission import (
    SubmissionSet,
)

FOLDERS = ('labelTrainIds', 'labelTrainIds_invalid', 'confidence')
SMALL = SubmissionSet(
    title='three frames',
    image_folders=('rgb_anon/test/night',),
    num_images=3,
    folders=FOLDERS,
    name_pattern=r'(A|B)_frame_\d{6}_rgb_anon\.png',
    sequences={'A': 2, 'B': 1},
    size=(8, 6),
)
NAMES = [f'{s}_rgb_anon.png' for s in ('A_frame_000001', 'A_frame_000002', 'B_frame_000003')]

Files = dict[str, bytes]


def png(array: np.ndarray, mode: str | None = None) -> bytes:
    """A PNG as Pillow writes it: not the encoder of the package."""
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(buffer, 'PNG')
    return buffer.getvalue()


def labels(value: int = 0) -> np.ndarray:
    image = np.arange(48, dtype=np.uint8).reshape(6, 8) % 19
    image[0, 0] = value
    return image


def sound() -> Files:
    files = {}
    for name in NAMES:
        files[f'labelTrainIds/{name}'] = png(labels())
        files[f'labelTrainIds_invalid/{name}'] = png(labels(255))
        files[f'confidence/{name}'] = png(np.full((6, 8), 40000, dtype=np.uint16))
    return files


def pack(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
