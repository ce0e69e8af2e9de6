"""Trained models for the tools: strict loading, and predictions for image files at their own size."""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope
from mmseg.apis import init_model
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from torch.utils.data import DataLoader, Dataset

from ..datasets.file_scan import progress_bar
from ..datasets.unreadable import NamingPipeline
from ..errors import UserInputError
from ..models.segmentors import AdaptationSegmentor
from ..runtime.checkpoint_file import read_checkpoint
from ..runtime.checkpoint_match import check_match
from ..runtime.command_line import add_trust_argument
from ..runtime.config_errors import named_mistakes
from ..runtime.override_syntax import add_override_argument
from .label_needs import without_annotations
from .start_up_checks import check_checkpoint_file


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of tools that run a trained model, named as in ``tools/test.py``."""
    add_override_argument(parser)
    add_trust_argument(parser)


def load_segmentor(
    config: Config,
    checkpoint: str,
    parts: Sequence[str] | None = None,
    device: torch.device | str | None = None,
) -> BaseSegmentor:
    """Build a model and fill it from a checkpoint; nothing that matters stays at random.

    Training may start from a checkpoint that fits in part; a picture or a submission must not.

    Args:
        config: Config; it is not changed.
        checkpoint: Path of the checkpoint; no code in it is executed. A plain one fills every network of an
            adaptation.
        parts: Prefixes of the tensors that must be in the checkpoint, e.g. ``('day.', 'night.')``.
            None: all of a plain segmentor, the network that predicts of an adaptation.
        device: Where the model computes. None takes the accelerator if there is one.

    Returns:
        The model in evaluation mode.

    Raises:
        ValueError: If the file is missing, is no checkpoint, or belongs to another model.
    """
    check_checkpoint_file(checkpoint, 'the argument CHECKPOINT')
    state = read_checkpoint(Path(checkpoint))['state_dict']
    with named_mistakes(config):
        model = init_model(copy.deepcopy(config), device='cpu')
    is_adaptation = isinstance(model, AdaptationSegmentor)
    try:
        if not is_adaptation:  # which checks by itself, network by network
            check_match(state, model.state_dict())
        missing = model.load_state_dict(state, strict=False).missing_keys
    except (ValueError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise UserInputError(
            f'the checkpoint {checkpoint!r} is not of this config: {lines[min(1, len(lines) - 1)]}'
        ) from error
    if parts is None:
        parts = (f'{model.predict_with}.',) if is_adaptation else ('',)
    lacking = [
        name
        for name in missing
        if name.startswith(tuple(parts)) and not name.endswith('num_batches_tracked')
    ]
    if lacking:
        raise UserInputError(
            f'the checkpoint {checkpoint!r} lacks {len(lacking)} tensors of the config, e.g. '
            f'{lacking[0]}; pass the config that it was trained with'
        )
    return model.to(get_device() if device is None else device).eval()


def unlabelled_pipeline(config: Config) -> Compose:
    """The config's own test pipeline without its labels.

    Returns:
        The pipeline, from ``{'img_path': …}`` to a packed sample.

    Raises:
        UserInputError: If the config tests on no data set with a pipeline.
    """
    dataset = (config.get('test_dataloader') or {}).get('dataset') or {}
    steps = dataset.get('pipeline')
    if not steps:
        raise UserInputError(
            'the config has no test_dataloader.dataset.pipeline; '
            'it says how an image is resized for the network: take the config of a training run'
        )
    init_default_scope(config.get('default_scope', 'mmseg'))
    return NamingPipeline(without_annotations(steps))


class ImageFiles(Dataset):
    """Image files through a test pipeline.

    Args:
        paths: The files.
        pipeline: What makes of ``{'img_path': …}`` a packed sample.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], pipeline: Compose) -> None:
        self.paths = [str(path) for path in paths]
        self.pipeline = pipeline

    def __len__(self) -> int:
        """Number of files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        """One packed sample."""
        return self.pipeline(dict(img_path=self.paths[index], seg_fields=[]))


def file_loader(
    paths: Sequence[str | os.PathLike[str]], pipeline: Compose, num_workers: int
) -> DataLoader:
    """A loader of image files, one by one and in order.

    Args:
        paths: The files.
        pipeline: See :class:`ImageFiles`.
        num_workers: Processes that load, at most one for each file.

    Returns:
        The loader.
    """
    return DataLoader(
        ImageFiles(paths, pipeline),
        num_workers=min(num_workers, len(paths)),
        collate_fn=pseudo_collate,
    )


def predict_batches(
    model: BaseSegmentor, loader: Iterable[Any]
) -> Iterator[tuple[Any, list[SegDataSample]]]:
    """Predict the batches of a loader, through the whole test path, without gradients.

    Args:
        model: Segmentor in evaluation mode.
        loader: Batches of a test pipeline.

    Yields:
        Each batch, and for each of its images ``seg_logits`` ``(K, H, W)`` and ``pred_sem_seg`` ``(1, H, W)`` at the
        size of the file, on the model's device.
    """
    for batch in loader:
        with torch.inference_mode():
            samples = model.test_step(batch)
        yield batch, samples


def predict_files(
    model: BaseSegmentor,
    config: Config,
    paths: Sequence[str | os.PathLike[str]],
    title: str,
) -> Iterator[SegDataSample]:
    """Predict one image after the other, as ``tools/test.py`` does, with a progress bar.

    The logits are upsampled to the size of the file before the argmax (``postprocess_result`` of
    MMSegmentation).

    Args:
        model: What :func:`load_segmentor` returned.
        config: The model's config: its test pipeline and number of workers.
        paths: Image files.
        title: Name of the progress bar.

    Yields:
        For each file ``seg_logits`` ``(K, H, W)`` and ``pred_sem_seg`` ``(1, H, W)`` at its own
        size, on the model's device.
    """
    for _, samples in predict_batches(model, image_batches(config, paths, title)):
        yield samples[0]


def image_batches(
    config: Config, paths: Sequence[str | os.PathLike[str]], title: str
) -> Iterator[dict[str, Any]]:
    """Batches of one image file each, through the config's test pipeline, with a progress bar.

    Args:
        config: Its test pipeline and number of workers.
        paths: Image files.
        title: Name of the progress bar.

    Yields:
        ``inputs`` and ``data_samples``.
    """
    workers = config.test_dataloader.get('num_workers', 0)
    loader = file_loader(paths, unlabelled_pipeline(config), workers)
    with progress_bar(len(paths), title) as advance:
        for batch in loader:
            yield batch
            advance()
