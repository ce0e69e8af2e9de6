"""Predictions as label images, in the folders in which their images lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmseg.registry import METRICS
from PIL import Image

from ..errors import UserInputError


class PredictionNameError(UserInputError):
    """Two predictions that would have one name, or one with the name of an input."""


def prediction_path(image: str, output_dir: str, image_root: str | None) -> str:
    """Name the file of a prediction.

    Args:
        image: The image.
        output_dir: Folder of the predictions.
        image_root: Folder above all images; the folders below it are kept. None keeps the file name
            alone.

    Returns:
        A path that ends in ``.png``.
    """
    name = os.path.relpath(image, image_root) if image_root else os.path.basename(image)
    return os.path.join(output_dir, f'{os.path.splitext(name)[0]}.png')


def root_of_images(images: Iterable[str], folders: Iterable[str]) -> str:
    """Find the folder from which predictions keep the folders of their images.

    Returns:
        The folder, absolute: what the image folders have in common if all images lie below, else what
        the images have in common.
    """
    parents = {os.path.dirname(os.path.abspath(image)) for image in images}
    above = [os.path.abspath(folder) for folder in folders if folder]
    if above:
        root = os.path.commonpath(above)
        if all(os.path.commonpath([root, parent]) == root for parent in parents):
            return root
    return os.path.commonpath(parents)


def check_names(
    images: Sequence[str], inputs: Iterable[str], output_dir: str, image_root: str | None
) -> None:
    """Check that every prediction gets a file of its own, and none that of an input.

    Args:
        images: All images.
        inputs: Files that must stay: images and labels.
        output_dir: Folder of the predictions.
        image_root: See :func:`prediction_path`.

    Raises:
        PredictionNameError: If two images have one name, or a prediction that of an input.
    """
    kept = {os.path.abspath(path) for path in inputs}
    taken: dict[str, str] = {}
    for image in images:
        path = os.path.abspath(prediction_path(image, output_dir, image_root))
        if path in kept:
            raise PredictionNameError(
                f'the prediction of {image!r} would replace the file {path!r} of the data: expected a '
                'folder of its own for predictions; name another'
            )
        other = taken.setdefault(path, image)
        if other != image:
            raise _same_name(other, image, path)


def _same_name(first: str, second: str, path: str) -> PredictionNameError:
    return PredictionNameError(
        f'the images {first!r} and {second!r} would have one prediction, {path!r}: expected a name of '
        'its own for every image; rename one, or predict them in two runs'
    )


@METRICS.register_module()
class PredictionFiles(BaseMetric):
    """Writes each prediction as a label image; needs no labels and gives no score.

    ``tools/test.py --out DIR`` adds it. An image ``<image_root>/a/b.jpg`` gives ``DIR/a/b.png``, grey,
    one byte a pixel, ids as in the label files of the data set.

    Args:
        output_dir: Folder to write into.
        image_root: Folder above all images; the folders below it are kept. The tools set it. None
            keeps the file name alone, and refuses a second image of that name.
        **kwargs: ``collect_device``, ``prefix``, ``collect_dir`` of ``BaseMetric``.

    Raises:
        PredictionNameError: While testing, if two images have one name.
    """

    default_prefix = ''  # without a score there is nothing to name

    def __init__(self, output_dir: str, image_root: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.output_dir = output_dir
        self.image_root = image_root
        self._written: dict[str, str] = {}

    def process(self, data_batch: Mapping, data_samples: Sequence[dict]) -> None:
        """Write the predictions of a batch: samples with ``img_path`` and ``pred_sem_seg``, ``(1, H, W)``."""
        for sample in data_samples:
            self.results.append(self.write(sample))

    def write(self, sample: Mapping[str, Any]) -> str:
        """Write one prediction.

        Raises:
            PredictionNameError: If another image has been written under this name.
        """
        image = sample['img_path']
        path = prediction_path(image, self.output_dir, self.image_root)
        other = self._written.setdefault(path, image)
        if other != image:
            raise _same_name(other, image, path)
        ids = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy().astype(np.uint8)
        if sample.get('reduce_zero_label', False):
            ids = ids + np.uint8(1)
        os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
        Image.fromarray(ids).save(path)
        return path

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Say how many there are."""
        if is_main_process():
            print_log(f'{len(results)} predictions in {self.output_dir}', logger='current')
        return {}
