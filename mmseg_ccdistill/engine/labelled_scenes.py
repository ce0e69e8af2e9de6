"""The images of a config's test set with their ground truth."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from ..datasets.file_check import build_dataset
from ..datasets.image_orientation import loading_turns
from ..errors import UserInputError
from ..visualization.scene_comparison import Scene
from .label_needs import evaluators_of
from .start_up_checks import check_data_roots

if TYPE_CHECKING:
    from mmseg.datasets import BaseSegDataset


def test_set(config: Config) -> BaseSegDataset:
    """Build the config's test set; of its pipeline the way images are loaded is kept.

    Raises:
        UserInputError: If it is missing or empty.
    """
    check_data_roots(config, ['test_dataloader'])
    init_default_scope(config.get('default_scope', 'mmseg'))
    dataset = config.test_dataloader.dataset
    loading = [step for step in dataset.get('pipeline', ()) if 'color_type' in step]
    return build_dataset({**dataset, 'pipeline': loading})


def name_and_size(config: Config, dataset: BaseSegDataset) -> tuple[str, int]:
    """Label and number of images of a whole test set, by its ``NightIoUMetric``.

    Without one, the folder of its images and their number.
    """
    for evaluator in evaluators_of(config, 'test'):
        if evaluator.get('dataset_name'):
            return evaluator.dataset_name, evaluator.get('expected_images') or len(dataset)
    return os.path.normpath(dataset.data_prefix['img_path']), len(dataset)


def labelled_scene(dataset: BaseSegDataset, index: int) -> Scene:
    """One image of a test set, and its ground truth if it has one.

    Args:
        dataset: What :func:`test_set` returned.
        index: Place in the set.

    Raises:
        UserInputError: If the image is missing or none.
    """
    info = dataset.get_data_info(index)
    label = None
    if info.get('seg_map_path'):
        label = Compose([dict(type='LoadAnnotations')])(dict(info))['gt_seg_map']
    turns = loading_turns(dataset.pipeline.transforms)
    return Scene(info['img_path'], read_image(info['img_path'], turns), label)


def read_image(path: str, turns: bool = True) -> np.ndarray:
    """Read an image file.

    Args:
        path: The file.
        turns: Whether it is turned upright by its EXIF orientation.

    Returns:
        ``(H, W, 3)`` BGR uint8.

    Raises:
        UserInputError: If it is missing or no image.
    """
    if not Path(path).is_file():
        raise UserInputError(f'the image {path!r} does not exist; give the path of a file')
    flag = 0 if turns else cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imread(path, cv2.IMREAD_COLOR | flag)
    if image is None:
        raise UserInputError(f'{path!r} is no image that OpenCV can read; give a PNG or JPEG file')
    return image
