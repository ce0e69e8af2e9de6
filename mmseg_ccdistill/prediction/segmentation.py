"""What a network says of a picture: logits, and all that follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch import Tensor

from ..datasets.label_palette import Colour
from ..engine.inference import predict_batches
from ..engine.label_prediction import predict_labels
from ..evaluation.submission import CONFIDENCE, LABELS, prediction_images
from ..visualization.panel import colorize
from .pictures import Picture
from .trained_model import TrainedModel

#: Share of the class colours in an overlay.
OPACITY = 0.5


class Segmentation:
    """The prediction for one image, at the size of the image.

    Args:
        logits: ``(K, H, W)``.
        image: ``(H, W, 3)`` BGR uint8.
        classes: Name of each class.
        palette: RGB colour of each class.
    """

    def __init__(
        self,
        logits: Tensor,
        image: np.ndarray,
        classes: Sequence[str],
        palette: Sequence[Colour],
    ) -> None:
        self.logits, self.image = logits, image
        self.classes, self.palette = tuple(classes), tuple(palette)

    @cached_property
    def labels(self) -> np.ndarray:
        """Index of the most likely class, ``(H, W)`` uint8; a train id for models of Cityscapes' classes."""
        return self.logits.argmax(dim=0).to(torch.uint8).cpu().numpy()

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Softmax over the classes, ``(K, H, W)`` float32."""
        return self.logits.float().softmax(dim=0).cpu().numpy()

    @cached_property
    def confidence(self) -> np.ndarray:
        """Probability of the most likely class, ``(H, W)`` float32 from 1/K to 1."""
        logits = self.logits.float()
        highest = logits.max(dim=0).values - logits.logsumexp(dim=0)
        return highest.exp().clamp_(max=1).cpu().numpy()

    @property
    def color_map(self) -> Image.Image:
        """The labels in the colours of their classes."""
        return _as_pil(colorize(self.labels, self.palette))

    @property
    def picture(self) -> Image.Image:
        """The image under its labels."""
        return self.overlay()

    def overlay(self, opacity: float = OPACITY) -> Image.Image:
        """The image under its labels; ``opacity`` is the share of the colours, 0 to 1."""
        return _as_pil(blend(self.image, colorize(self.labels, self.palette), opacity))

    @property
    def shares(self) -> dict[str, float]:
        """Share of the pixels of each class that occurs, the largest first; they sum to 1."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes)) / self.labels.size
        order = np.argsort(-counts, kind='stable')
        return {self.classes[k]: float(counts[k]) for k in order if counts[k] > 0}


class PredictedMaps(NamedTuple):
    """What is written of a prediction.

    Attributes:
        labels: ``(H, W)`` uint8.
        confidence: ``(H, W)`` uint16, 0..65535 for 0..1; None if nobody asked for it.
    """

    labels: np.ndarray
    confidence: np.ndarray | None


def blend(image: np.ndarray, colours: np.ndarray, opacity: float) -> np.ndarray:
    """Mix two images ``(H, W, 3)`` uint8: ``(1 - opacity) image + opacity colours``."""
    return cv2.addWeighted(image, 1 - opacity, colours, opacity, 0)


def _as_pil(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(image[..., ::-1]))


def mixed_precision(device: torch.device, enabled: bool) -> AbstractContextManager:
    """Autocast in the type that the device computes in: bfloat16, or float16 on GPUs without it.

    Args:
        device: Where the model is.
        enabled: False gives float32.
    """
    half = device.type == 'cuda' and torch.cuda.get_device_capability(device)[0] < 8
    dtype = torch.float16 if half else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=enabled)


def equal_sizes(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Neighbours that the network sees at one size, which alone fit into one batch."""
    for _, group in groupby(pictures, key=lambda picture: picture.packed['inputs'].shape):
        yield list(group)


def predict_maps(
    trained: TrainedModel, pictures: Sequence[Picture], confidence: bool, amp: bool
) -> Iterator[tuple[Picture, PredictedMaps]]:
    """Predict pictures, those of one size in one batch, in their order.

    Args:
        trained: The model.
        pictures: Any sizes.
        confidence: Whether it is wanted: without it the logits need not exist at the size of the image.
        amp: Mixed precision.

    Yields:
        Each picture and its maps.
    """
    for group in equal_sizes(pictures):
        batch = pseudo_collate([picture.packed for picture in group])
        with mixed_precision(trained.device, amp):
            if confidence:
                ((_, samples),) = predict_batches(trained.model, [batch])
                images = [prediction_images(sample.seg_logits.data) for sample in samples]
                maps = [PredictedMaps(image[LABELS], image[CONFIDENCE]) for image in images]
            else:
                found = predict_labels(trained.model, batch)
                maps = [PredictedMaps(label.to(torch.uint8).cpu().numpy(), None) for label in found]
        yield from zip(group, maps, strict=True)


def segment(trained: TrainedModel, picture: Picture, amp: bool = False) -> Segmentation:
    """Predict one picture and keep its logits."""
    batch = pseudo_collate([picture.packed])
    with mixed_precision(trained.device, amp):
        ((_, samples),) = predict_batches(trained.model, [batch])
    logits = samples[0].seg_logits.data
    return Segmentation(logits, picture.image, trained.classes, trained.palette)
