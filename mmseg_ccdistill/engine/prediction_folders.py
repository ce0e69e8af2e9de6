"""Predictions keep the folders of their images, whichever metric of the config writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mmengine.config import Config
from mmengine.runner import BaseLoop
from mmseg.evaluation import IoUMetric

from ..datasets.file_check import build_dataset, leaf_datasets
from ..errors import UserInputError
from ..evaluation.night_iou_metric import NightIoUMetric
from ..evaluation.prediction_files import (
    PredictionFiles,
    PredictionNameError,
    check_names,
    root_of_images,
)
from .label_needs import evaluators_of, metric_class
from .start_up_checks import dataset_configs


def keep_folders(config: Config, stage: str) -> None:
    """Let predictions keep the folders of their images.

    MMSegmentation's metrics name a prediction by the file name of its image alone, so that images of
    one name in two folders replace each other. ``IoUMetric`` hands its ``output_dir`` over to
    ``PredictionFiles`` here; ``NightIoUMetric`` is told where the images lie; of other metrics the
    names are checked.

    Args:
        config: Config, changed in place.
        stage: ``'val'``, ``'test'`` or what else stands before ``_dataloader`` and ``_evaluator``.

    Raises:
        UserInputError: If two images would have one prediction, or a prediction the name of an input.
    """
    evaluators = evaluators_of(config, stage)
    has_data = bool(config.get(f'{stage}_dataloader'))
    if not has_data or not any(evaluator.get('output_dir') for evaluator in evaluators):
        return
    images, inputs, root = _files(config, stage)
    kept: list[Any] = []
    for number, evaluator in enumerate(evaluators):
        folder = evaluator.get('output_dir')
        if not folder:
            kept.append(evaluator)
            continue
        kind = metric_class(evaluator)
        keeps = kind in (IoUMetric, NightIoUMetric, PredictionFiles)
        try:
            check_names(images, inputs, folder, root if keeps else None)
        except PredictionNameError as error:
            raise UserInputError(f'{stage}_evaluator.{number}.output_dir: {error}') from error
        if kind is IoUMetric:
            evaluator = {key: value for key, value in evaluator.items() if key != 'output_dir'}
            if not evaluator.pop('format_only', False):
                kept.append(evaluator)
            evaluator = dict(type='PredictionFiles', output_dir=folder)
        if keeps:
            evaluator['image_root'] = root
        kept.append(evaluator)
    config[f'{stage}_evaluator'] = kept


def keep_folders_of_loop(stage: str, loop: BaseLoop) -> None:
    """Do the same for a loop that is built, for tools that do not call :func:`keep_folders`.

    Args:
        stage: ``'val'`` or ``'test'``.
        loop: The loop; one without an evaluator, or whose metrics write nothing, is left alone.

    Raises:
        UserInputError: As :func:`keep_folders`.
    """
    leaves = list(leaf_datasets(loop.dataloader.dataset))
    evaluator = getattr(loop, 'evaluator', None)
    if evaluator is None or not all(hasattr(leaf, 'get_data_info') for leaf in leaves):
        return
    metrics: list[Any] = []
    writers: list[PredictionFiles] = []
    for metric in evaluator.metrics:
        writer = metric.predictions if isinstance(metric, NightIoUMetric) else metric
        if type(metric) is IoUMetric and metric.output_dir is not None:
            writer = PredictionFiles(metric.output_dir)
            metric.output_dir = None
            metrics += [writer] if metric.format_only else [metric, writer]
        else:
            metrics.append(metric)
        if isinstance(writer, PredictionFiles) and writer.image_root is None:
            writers.append(writer)
    if not writers:
        return
    images, inputs, root = _files_of(leaves)
    for writer in writers:
        try:
            check_names(images, inputs, writer.output_dir, root)
        except PredictionNameError as error:
            raise UserInputError(f'{stage}_evaluator.output_dir: {error}') from error
        writer.image_root = root
    evaluator.metrics = metrics


def _files(config: Config, stage: str) -> tuple[list[str], list[str], str]:
    """:func:`_files_of` the data sets of a config."""
    node = config[f'{stage}_dataloader'].get('dataset')
    configs = [cfg for _, cfg in dataset_configs(node, f'{stage}_dataloader.dataset')]
    built = (build_dataset({**cfg, 'pipeline': []}) for cfg in configs)
    return _files_of(leaf for dataset in built for leaf in leaf_datasets(dataset))


def _files_of(datasets: Iterable[Any]) -> tuple[list[str], list[str], str]:
    """Images of some data sets, their images and labels, and the folder from which folders are kept."""
    images: list[str] = []
    labels: list[str] = []
    folders: list[str] = []
    for leaf in datasets:
        folders.append((getattr(leaf, 'data_prefix', None) or {}).get('img_path', ''))
        infos = [leaf.get_data_info(index) for index in range(len(leaf))]
        images += [info['img_path'] for info in infos if 'img_path' in info]
        labels += [info['seg_map_path'] for info in infos if 'seg_map_path' in info]
    return images, [*images, *labels], root_of_images(images, folders) if images else ''
