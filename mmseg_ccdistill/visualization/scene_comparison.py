"""Predictions of several models side by side, in the style of Figs. 3 and 4 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import from_numpy

from ..evaluation import NightIoUMetric, SetReport
from ..evaluation.confusion import confusion_matrix, present_iou
from .error_map import error_map
from .panel import colorize, panel, present_classes


@dataclass(frozen=True)
class Scene:
    """One row of the figure.

    Attributes:
        path: The image file; its name stands below the image.
        image: The image, ``(H, W, 3)`` BGR uint8.
        label: Ground truth ``(H, W)``; None if there is none.
    """

    path: str
    image: np.ndarray
    label: np.ndarray | None = None


def mean_iou(
    prediction: np.ndarray, label: np.ndarray, num_classes: int, ignore_index: int = 255
) -> float:
    """Mean IoU of one image over the classes in its ground truth.

    Args:
        prediction: ``(H, W)`` class indices.
        label: ``(H, W)`` class indices.
        num_classes: Number of classes.
        ignore_index: Value of pixels that do not count.

    Returns:
        Percent; NaN if nothing is labelled.
    """
    guess, truth = (from_numpy(values.astype(np.int64)) for values in (prediction, label))
    return present_iou(confusion_matrix(guess, truth, num_classes, ignore_index))


def measure(
    scenes: Sequence[Scene],
    predictions: Sequence[np.ndarray],
    classes: Sequence[str],
    set_name: str,
    set_size: int,
    ignore_index: int = 255,
) -> SetReport:
    """Score a model on the scenes together, with the metric of ``tools/test_night.py``.

    Args:
        scenes: Scenes with ground truth.
        predictions: The model's label maps ``(H, W)`` uint8, one for each scene.
        classes: Class names.
        set_name: Label of the set that the scenes come from.
        set_size: Images of that set; the report's title says how many of them were scored.
        ignore_index: Value of pixels that do not count.

    Returns:
        The scores, without UIoU.

    Raises:
        DatasetCheckError: If a ground truth holds other ids, or has another size.
    """
    metric = NightIoUMetric(
        set_name, set_size, with_uiou=False, ignore_index=ignore_index, prefix=set_name
    )
    metric.dataset_meta = dict(classes=tuple(classes))
    for scene, prediction in zip(scenes, predictions, strict=True):
        assert scene.label is not None
        pair = dict(pred_sem_seg=prediction, gt_sem_seg=scene.label)
        maps = {key: dict(data=from_numpy(value)[None]) for key, value in pair.items()}
        metric.process({}, [dict(maps, img_path=scene.path)])
    return metric.make_report(metric.results)


def comparison_figure(
    scenes: Sequence[Scene],
    predictions: Sequence[tuple[str, Sequence[np.ndarray]]],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    with_miou: bool = False,
    with_errors: bool = False,
    tile_width: int = 320,
) -> np.ndarray:
    """Set scenes out in rows: image, ground truth if any scene has it, each model.

    Args:
        scenes: The rows.
        predictions: Title of each model and its label maps, one for each scene.
        classes: Class names.
        palette: RGB colour of each class.
        with_miou: Whether to write each image's mIoU below its prediction.
        with_errors: Whether to follow each prediction by its wrong pixels.
        tile_width: Width of an image in pixels.

    Returns:
        The figure, ``(H, W, 3)`` BGR uint8.

    Raises:
        ValueError: If there is no scene or model, a model has another number of maps, or a score
            or an error needs a ground truth that is missing.
    """
    if not scenes or not predictions:
        raise ValueError('a comparison needs at least one scene and one model')
    for name, maps in predictions:
        if len(maps) != len(scenes):
            raise ValueError(f'{name!r} has {len(maps)} predictions for {len(scenes)} scenes')
    labels = [scene.label for scene in scenes if scene.label is not None]
    if (with_miou or with_errors) and len(labels) < len(scenes):
        raise ValueError('mIoU and errors need the ground truth of every scene')
    titles = ['Input', *(['Ground truth'] if labels else [])]
    for name, _ in predictions:
        titles += [name, *([f'{name}: errors'] if with_errors else [])]
    rows, captions = [], []
    for i, scene in enumerate(scenes):
        cells = [(scene.image, Path(scene.path).stem)]
        if labels:
            cells.append((_truth(scene, palette), ''))
        for _, maps in predictions:
            cells += _prediction_cells(scene, maps[i], palette, with_miou, with_errors)
        rows.append([image for image, _ in cells])
        captions.append([caption for _, caption in cells])
    shown = [*labels, *(label for _, maps in predictions for label in maps)]
    names, colours = present_classes(shown, classes, palette)
    height, width = scenes[0].image.shape[:2]
    size = (tile_width, round(tile_width * height / width))
    return panel(rows, titles, None, size, names, colours, captions=captions)


def _truth(scene: Scene, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Painted ground truth, white where there is none."""
    if scene.label is None:
        return np.full_like(scene.image, 255)
    return colorize(scene.label, palette)


def _prediction_cells(
    scene: Scene,
    prediction: np.ndarray,
    palette: Sequence[Sequence[int]],
    with_miou: bool,
    with_errors: bool,
) -> list[tuple[np.ndarray, str]]:
    """Tiles and captions of one model's prediction."""
    label, num_classes = scene.label, len(palette)
    if label is None:
        return [(colorize(prediction, palette), '')]
    caption = f'mIoU {mean_iou(prediction, label, num_classes):.1f}' if with_miou else ''
    cells = [(colorize(prediction, palette), caption)]
    if with_errors:
        valid = label < num_classes
        wrong = 100 * np.mean(prediction[valid] != label[valid]) if valid.any() else float('nan')
        errors = error_map(scene.image, prediction, label, num_classes)
        cells.append((errors, f'{wrong:.1f} % of the pixels'))
    return cells
