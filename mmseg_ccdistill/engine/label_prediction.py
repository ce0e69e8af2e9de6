"""Label maps of images, for tools that do not need the logits at the images' own size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from torch import Tensor

from ..models.composed_resize import label_map
from ..models.segmentors import AdaptationSegmentor
from .inference import image_batches

#: Methods that must be MMSegmentation's own: what they do, the composed resize does in one step.
_STEPS = {
    EncoderDecoder: (
        'predict',
        'inference',
        'whole_inference',
        'encode_decode',
        'postprocess_result',
    ),
    BaseDecodeHead: ('predict', 'predict_by_feat'),
}


def is_composable(model: BaseSegmentor) -> bool:
    """Whether a model's labels are those of :func:`label_map`.

    Args:
        model: Segmentor: an ``EncoderDecoder``, or an adaptation whose predicting network is one.

    Returns:
        False where another test mode, head or segmentor resizes in its own way.
    """
    network = _network(model)
    if (
        isinstance(model, AdaptationSegmentor)
        and type(model).predict is not AdaptationSegmentor.predict
    ):
        return False
    if not isinstance(network, EncoderDecoder) or network.test_cfg.get('mode', 'whole') != 'whole':
        return False
    parts: tuple[tuple[Any, type], ...] = (
        (network, EncoderDecoder),
        (network.decode_head, BaseDecodeHead),
    )
    return network.out_channels > 1 and all(
        getattr(type(part), step) is getattr(base, step)
        for part, base in parts
        for step in _STEPS[base]
    )


def predict_labels(model: BaseSegmentor, batch: dict[str, Any]) -> list[Tensor]:
    """Labels of a batch of a test pipeline, each at the size of its file.

    Where it is possible the logits are resized once instead of twice, in strips (:mod:`composed_resize`); else the
    model's own ``test_step`` answers.

    Args:
        model: Segmentor in evaluation mode.
        batch: ``inputs`` and ``data_samples``.

    Returns:
        ``(H, W)`` int64 for each image, on the model's device.
    """
    with torch.inference_mode():
        samples = batch['data_samples']
        if not is_composable(model) or any(s.metainfo.get('flip') for s in samples):
            return [sample.pred_sem_seg.data[0] for sample in model.test_step(batch)]
        data = model.data_preprocessor(batch, False)
        network, images = _network(model), data['inputs']
        logits = network.decode_head(network.extract_feat(images))
        weight = getattr(model, 'test_weight', None)
        if weight is not None:  # a factor of each class, which no resize changes
            logits = logits * weight.view(1, -1, 1, 1)
        return [
            label_map(
                image_logits,
                tuple(images.shape[2:]),
                tuple(sample.metainfo['ori_shape'][:2]),
                network.align_corners,
                _padding(sample.metainfo),
            )
            for image_logits, sample in zip(logits, data['data_samples'], strict=True)
        ]


def predict_label_files(
    model: BaseSegmentor, config: Config, paths: Sequence[str | os.PathLike[str]], title: str
) -> Iterator[Tensor]:
    """Labels of image files, one after the other, with a progress bar.

    Args:
        model: What :func:`load_segmentor` returned.
        config: The model's config: its test pipeline and number of workers.
        paths: Image files.
        title: Name of the progress bar.

    Yields:
        For each file ``(H, W)`` int64 at its own size, on the model's device.
    """
    for batch in image_batches(config, paths, title):
        yield predict_labels(model, batch)[0]


def _network(model: BaseSegmentor) -> Any:
    return model.predictor if isinstance(model, AdaptationSegmentor) else model


def _padding(meta: dict[str, Any]) -> tuple[int, int, int, int]:
    """Padding of a network's image: left, right, top, bottom; under the names that MMSegmentation looks up."""
    return tuple(meta.get('img_padding_size', meta.get('padding_size', (0, 0, 0, 0))))  # type: ignore[return-value]
