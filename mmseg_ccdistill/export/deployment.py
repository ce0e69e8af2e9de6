"""An exported segmentor in a format for deployment, compared with torch before it is put in place."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional as F

from ..errors import UserInputError
from ..models.composed_resize import label_map
from ..runtime.atomic_file import check_free_space
from .branch_export import ExportMismatchError
from .deployed_network import DeployedNetwork
from .deployment_formats import FORMATS

#: Share of the labels that must be those of torch; the rest are ties within rounding.
MIN_AGREEMENT = 0.9999


@dataclass(frozen=True)
class Deployed:
    """What was written.

    Attributes:
        files: The files.
        size: Height and width of the image that the network takes.
        dynamic: Whether it takes any size.
        agreement: Share of the labels that are those of torch, over all frames.
        frames: Number of frames that were compared.
    """

    files: tuple[Path, ...]
    size: tuple[int, int]
    dynamic: bool
    agreement: float
    frames: int


def format_files(out: Path, name: str) -> tuple[Path, ...]:
    """Files of a format beside an exported pair.

    Args:
        out: As given to ``night2mmseg.py``; a suffix ``.pth`` or ``.py`` is dropped.
        name: Key of ``FORMATS``.
    """
    stem = out.with_suffix('') if out.suffix in ('.pth', '.py') else out
    return tuple(stem.with_name(stem.name + suffix) for suffix in FORMATS[name].suffixes)


def image_size(config: Config) -> tuple[int, int]:
    """Height and width to which the test pipeline brings an image.

    ``Resize`` keeps the orientation of an image if it keeps the ratio: a landscape is expected then.

    Args:
        config: Config with a test pipeline.

    Raises:
        UserInputError: If it names no size.
    """
    for step in config.get('test_pipeline') or ():
        scale = step.get('scale') if step.get('type') == 'Resize' else None
        if isinstance(scale, (list, tuple)):
            if step.get('keep_ratio', False):
                return min(scale), max(scale)
            return scale[1], scale[0]
    raise UserInputError(
        'the test pipeline of the config has no Resize with a scale: give --size H W'
    )


def read_frames(paths: Sequence[Path], size: tuple[int, int]) -> list[Tensor]:
    """Frames to compare on: image files, or two synthetic ones where none are given.

    Args:
        paths: Image files.
        size: Height and width to which they are resized.

    Returns:
        ``(1, 3, H, W)`` float32 BGR in [0, 255] each.

    Raises:
        UserInputError: If a file is no image.
    """
    frames = []
    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise UserInputError(f'--images: {path} is no image that can be read')
        image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
        frames.append(torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float())
    return frames or [_synthetic(size, seed) for seed in range(2)]


def _synthetic(size: tuple[int, int], seed: int) -> Tensor:
    """Smooth colours and noise: a frame that has something to tell apart."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 255 * torch.rand(1, 3, 9, 16, generator=generator)
    noise = 8 * torch.randn(1, 3, *size, generator=generator)
    smooth = F.interpolate(coarse, size, mode='bilinear', align_corners=True)
    return (smooth + noise).clamp(0, 255).round()


def deploy(
    segmentor: EncoderDecoder,
    name: str,
    out: Path,
    size: tuple[int, int],
    dynamic: bool = False,
    images: Sequence[Path] = (),
) -> Deployed:
    """Write a segmentor in a format, run it there, and put it in place if it gives the labels of torch.

    Args:
        segmentor: Plain segmentor on the CPU.
        name: Key of ``FORMATS``.
        out: Path of the exported pair.
        size: Height and width of the image that the network takes.
        dynamic: Whether it is to take any size; it is compared at half of ``size``, too. Defaults to False.
        images: Frames to compare on. Defaults to none, two synthetic ones.

    Returns:
        What was written.

    Raises:
        UserInputError: If the network cannot take the size, a test pads it, or a disk is full.
        ExportMismatchError: If the exporter fails, or fewer than :data:`MIN_AGREEMENT` of the labels agree.
    """
    _check_padding(segmentor.data_preprocessor, size, dynamic)
    network = DeployedNetwork(segmentor)
    sizes = [size, (size[0] // 2, size[1] // 2)] if dynamic else [size]
    frames = [frame for each in sizes for frame in read_frames(images, each)]
    expected = [_labels(network, frame, segmentor) for frame in frames]
    files = format_files(out, name)
    with tempfile.TemporaryDirectory(dir=files[0].parent, prefix='.export-') as folder:
        drafts = [Path(folder) / file.name for file in files]
        try:
            check_free_space(folder, sum(t.nbytes for t in segmentor.state_dict().values()))
            FORMATS[name].write(network, frames[0], drafts[0], dynamic)
            predict = FORMATS[name].load(drafts[0], 0)
            found = [_labels(predict, frame, segmentor) for frame in frames]
        except OSError as error:
            raise UserInputError(
                f'{files[0]} cannot be written: {error.strerror or error}'
            ) from error
        except Exception as error:
            line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            hint = ': leave out --dynamic, or take another format' if dynamic else ''
            raise ExportMismatchError(
                f'{name} cannot express this network ({line}){hint}'
            ) from error
        pairs = list(zip(found, expected, strict=True))
        same = sum(int((ours == theirs).sum()) for ours, theirs in pairs)
        agreement = same / sum(labels.numel() for labels in expected)
        if agreement < MIN_AGREEMENT:
            raise ExportMismatchError(
                f'{name} gives the labels of torch for {agreement:.6f} of the pixels, '
                f'{MIN_AGREEMENT} are asked for'
            )
        for draft, file in zip(drafts, files, strict=True):
            os.replace(draft, file)
    return Deployed(files, size, dynamic, agreement, len(frames))


def check_deployable(
    config: Config, size: tuple[int, int], dynamic: bool = False, images: Sequence[Path] = ()
) -> None:
    """Find out, before anything is written, what :func:`deploy` would refuse without running the network.

    Args:
        config: Plain config of the network (``plain_config``).
        size: Height and width of the image that the network takes.
        dynamic: Whether it is to take any size. Defaults to False.
        images: Frames to compare on. Defaults to none.

    Raises:
        UserInputError: If a test pads the size, or a frame is no image.
    """
    init_default_scope(config.get('default_scope', 'mmseg'))
    preprocessor = config.model.get('data_preprocessor')
    _check_padding(preprocessor and MODELS.build(preprocessor), size, dynamic)
    for path in images:
        read_frames([path], size)


def _check_padding(preprocessor: Any, size: tuple[int, int], dynamic: bool) -> None:
    """Refuse a size that the test path pads: an exported network sees the image alone, and labels it otherwise."""
    padding = getattr(preprocessor, 'test_cfg', None)
    if not padding:
        return
    size = (1, 1) if dynamic else size
    batch = dict(inputs=[torch.zeros(3, *size)], data_samples=[SegDataSample()])
    height, width = preprocessor(batch)['inputs'].shape[2:]
    if (height, width) != size:
        fix = 'leave out --dynamic' if dynamic else f'give --size {height} {width}'
        raise UserInputError(
            f'model.data_preprocessor.test_cfg={dict(padding)} pads an image of {size[0]} x {size[1]} to '
            f'{height} x {width}, which an exported network does not do: {fix}'
        )


def _labels(
    predict: Callable[[Tensor], Tensor], frame: Tensor, segmentor: EncoderDecoder
) -> Tensor:
    """Labels at the size of the frame.

    Raises:
        UserInputError: If the network itself fails at this size.
    """
    size = (frame.shape[2], frame.shape[3])
    try:
        with torch.no_grad():
            logits = predict(frame)
    except (RuntimeError, AssertionError, ValueError) as error:
        if isinstance(predict, DeployedNetwork):
            line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise UserInputError(
                f'the network cannot take an image of {size[0]} x {size[1]} ({line}): give another --size H W'
            ) from error
        raise
    return label_map(logits[0], size, size, segmentor.align_corners)
