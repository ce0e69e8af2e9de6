"""Pictures on their way to a network: from a file, an array, or a PIL image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from ..datasets.image_facts import UnreadableFileError, read_facts, unreadable_reason
from ..errors import UserInputError


class Picture(NamedTuple):
    """An image as people see it and as the network gets it.

    Attributes:
        name: Its file; empty for an array.
        image: ``(H, W, 3)`` BGR uint8 at its own size, upright.
        packed: ``inputs`` ``(3, h, w)`` and ``data_samples`` of a test pipeline.
    """

    name: str
    image: np.ndarray
    packed: dict[str, Any]


class BrokenPicture(NamedTuple):
    """A file that is no image, or not a whole one.

    Attributes:
        name: The file.
        reason: What is wrong, in a few words.
    """

    name: str
    reason: str


class PicturePipeline:
    """A test pipeline that also gives the image at its own size.

    Args:
        steps: Configs of its transforms; the first loads an image file.

    Raises:
        UserInputError: If the first does not.
    """

    def __init__(self, steps: Sequence[Any]) -> None:
        init_default_scope('mmseg')
        transforms = Compose(steps).transforms
        if not transforms or not isinstance(transforms[0], LoadImageFromFile):
            raise UserInputError(
                'the test pipeline of the model does not begin with LoadImageFromFile: expected a pipeline that '
                'reads image files; name a config with one, --config CONFIG'
            )
        self.load, self.rest = transforms[0], Compose(transforms[1:])

    def read(self, path: str | os.PathLike[str]) -> Picture | BrokenPicture:
        """Read an image file as training reads it: upright, colours only, 8 bits a channel."""
        name = os.fspath(path)
        try:
            read_facts(name, with_values=False, decode=True)  # OpenCV reads half of a JPEG
            loaded = self.load(dict(img_path=name, seg_fields=[]))
        except UnreadableFileError as error:
            return BrokenPicture(name, str(error))
        except Exception:
            reason = unreadable_reason(name)
            if reason is None:
                raise
            return BrokenPicture(name, reason)
        return self._packed(name, loaded)

    def take(self, image: np.ndarray) -> Picture:
        """Take an image that is in memory, ``(H, W, 3)`` BGR uint8."""
        size = image.shape[:2]
        loaded: dict[str, Any] = dict(img=image, img_path=None, seg_fields=[])
        return self._packed('', {**loaded, 'img_shape': size, 'ori_shape': size})

    def _packed(self, name: str, loaded: dict[str, Any]) -> Picture:
        image = loaded['img']
        seen = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        return Picture(name, np.ascontiguousarray(seen, dtype=np.uint8), self.rest(loaded))


class PictureFiles(Dataset):
    """Image files through a pipeline, for a data loader; a broken one is named, not raised.

    Args:
        paths: The files.
        pipeline: What reads them.
    """

    def __init__(self, paths: Sequence[str], pipeline: PicturePipeline) -> None:
        self.paths, self.pipeline = list(paths), pipeline

    def __len__(self) -> int:
        """Number of files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Picture | BrokenPicture:
        """One of them."""
        return self.pipeline.read(self.paths[index])


def bgr_of(image: Image.Image | np.ndarray) -> np.ndarray:
    """An image in memory as the networks take it.

    Args:
        image: A PIL image, turned upright by its EXIF tag, of any mode but F; one of mode I holds 16 bits. Or an array
            ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA of uint8 or uint16. Opacity is dropped,
            as it is from files.

    Returns:
        ``(H, W, 3)`` BGR uint8.

    Raises:
        UserInputError: If it is none of these.
    """
    if isinstance(image, Image.Image):
        upright = ImageOps.exif_transpose(image)
        if upright.mode[0] in 'IF':  # Pillow would cut their values off at 255
            image = np.asarray(upright)
            if image.dtype.kind in 'iu' and image.size and 0 <= image.min() and image.max() < 2**16:
                image = image.astype(np.uint16)
        else:
            image = np.asarray(upright.convert('RGB'))
    if not isinstance(image, np.ndarray):
        raise UserInputError(
            f'expected the path of an image, a PIL image or an array, got {type(image).__name__}; convert it'
        )
    if image.ndim == 2:
        image = image[..., None]
    fits = image.ndim == 3 and image.shape[2] in (1, 3, 4) and image.size > 0
    if not fits or image.dtype not in (np.uint8, np.uint16):
        raise UserInputError(
            f'expected an image (H, W), (H, W, 3) RGB or (H, W, 4) RGBA of uint8 or uint16, got '
            f'{image.dtype} of shape {image.shape}; convert it'
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)  # as OpenCV reads 16-bit files
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    return np.ascontiguousarray(image[..., 2::-1])
