"""Pseudo labels of many images: predicted, thresholded over all of them, written; shared by several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine import dist
from mmengine.dataset import Compose
from mmseg.models.segmentors import BaseSegmentor

from ...datasets.file_scan import progress_bar
from ...datasets.night_labels import read_label_manifest
from ..inference import file_loader
from .guesses import GuessedImage, Refine, check_model, guess_images
from .label_folder import LabelFolder
from .thresholds import ThresholdRule, class_thresholds, sure_labels


def label_images(
    model: BaseSegmentor,
    pipeline: Compose,
    images: Mapping[str, str],
    out: str,
    rule: ThresholdRule,
    settings: Mapping[str, Any],
    refine: Refine | None = None,
    notes: Mapping[str, Mapping[str, Any]] | None = None,
    num_workers: int = 0,
) -> dict[str, Any]:
    """Label images in a folder of their own, and go on where an interrupted run stopped.

    With a rule that needs all images the predictions wait in the folder until all are there: 5 bytes for each pixel at
    test size (6 GB for 2416 images of 960 x 540). All processes of a run share the images and see one file system; each
    image is predicted by itself, so the bytes do not depend on their number.

    Args:
        model: Segmentor in evaluation mode.
        pipeline: From ``{'img_path': …}`` to a packed sample at test size, without labels.
        images: Files by name; the name says where the label goes.
        out: Folder of the labels.
        rule: How sure a prediction must be.
        settings: What the labels depend on, plain values by name, for the manifest: :func:`label_settings`, and what
            ``refine`` depends on.
        refine: Changes the probabilities ``(K, h, w)`` of an image at the stride of the head, given its file, before
            they are upsampled. Defaults to None.
        notes: What ``refine`` says of each image, by its file, plain values: ``alignment`` of the image in the
            manifest. Defaults to None: nothing.
        num_workers: Processes that load images. Defaults to 0.

    Returns:
        The manifest; nothing on other processes than the first.

    Raises:
        UserInputError: If the folder holds something else, the model cannot label these classes, or an image cannot be
            read.
    """
    check_model(model, list(settings['classes']))
    folder = LabelFolder(out, list(images), settings)
    dist.barrier()  # all have looked before one writes
    if dist.is_main_process() and not folder.finished:
        folder.begin()
    dist.barrier()
    own = folder.names[dist.get_rank() :: dist.get_world_size()]

    def predict(names: Sequence[str], write: Callable[[str, GuessedImage], None]) -> None:
        loader = file_loader([images[name] for name in names], pipeline, num_workers)
        with progress_bar(len(names), 'Predicting') as advance:
            for name, image in zip(names, guess_images(model, loader, refine), strict=True):
                if notes is not None:  # before the label: what has a label has its note
                    folder.write_note(name, notes[images[name]])
                write(name, image)
                advance()

    def write_label(name: str, image: GuessedImage) -> None:
        folder.write_label(name, sure_labels(image.guess, thresholds), image.size)

    if folder.finished:
        return read_label_manifest(out)
    thresholds = rule.constant(model.num_classes)
    if not rule.needs_all_images:
        predict(folder.without_label(own), write_label)
    else:
        predict(folder.without_draft(own), folder.write_draft)
        thresholds = class_thresholds(
            lambda: (folder.read_draft(name).guess for name in _counted(own, 'Finding thresholds')),
            model.num_classes,
            rule,
            _over_all_processes,
        )
        for name in _counted(folder.without_label(own), 'Writing labels'):
            write_label(name, folder.read_draft(name))
    dist.barrier()
    return folder.finish(thresholds) if dist.is_main_process() else {}


def _counted(names: Sequence[str], title: str) -> Iterable[str]:
    """The names, with a progress bar."""
    with progress_bar(len(names), title) as advance:
        for name in names:
            yield name
            advance()


def _over_all_processes(counts: np.ndarray) -> np.ndarray:
    """Sum of counts over the processes."""
    total = torch.from_numpy(counts)
    dist.all_reduce(total)
    return total.numpy()
