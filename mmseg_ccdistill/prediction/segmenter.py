"""A trained model in three lines of Python."""

from __future__ import annotations

import os

import numpy as np
from mmengine.config import Config
from PIL import Image

from ..datasets.image_facts import unreadable_sentence
from ..datasets.label_palette import Colour
from ..errors import UserInputError
from ..runtime.command_line import load_config
from .pictures import BrokenPicture, PicturePipeline, bgr_of
from .segmentation import Segmentation, segment
from .trained_model import TrainedModel, load_trained


class Segmenter:
    """Segments images with a trained model.

    ::

        from mmseg_ccdistill import Segmenter

        segmenter = Segmenter.from_pretrained('night.pth')
        result = segmenter('street.jpg')  # result.labels, result.probabilities, result.picture

    Args:
        trained: The model.
        amp: Compute in mixed precision. Defaults to False.
    """

    def __init__(self, trained: TrainedModel, amp: bool = False) -> None:
        self.trained, self.amp = trained, amp
        self.pipeline = PicturePipeline(trained.pipeline)

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        config: str | os.PathLike[str] | Config | None = None,
        branch: str | None = None,
        device: str | None = None,
        amp: bool = False,
    ) -> Segmenter:
        """Load a model from its file; nothing in it is executed.

        Args:
            path: A training checkpoint, an exported ``.pth``, or ``.safetensors`` with its JSON beside it.
            config: Config of the model, for weights whose file does not hold it. A config is a program.
            branch: Network of an adaptation that predicts, e.g. ``'day'``. Defaults to the one of the config.
            device: As torch names it. Defaults to the accelerator if there is one, else the CPU.
            amp: Compute in mixed precision. Defaults to False.

        Raises:
            UserInputError: If the file cannot be used; the message says why and what helps.
        """
        if config is not None and not isinstance(config, Config):
            config = load_config(os.fspath(config))
        return cls(load_trained(path, config, branch, device), amp)

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class."""
        return self.trained.classes

    @property
    def palette(self) -> tuple[Colour, ...]:
        """RGB colour of each class."""
        return self.trained.palette

    @property
    def branches(self) -> tuple[str, ...]:
        """Networks that may predict; empty for a plain segmentor."""
        return self.trained.branches

    def __call__(
        self, image: str | os.PathLike[str] | Image.Image | np.ndarray, branch: str | None = None
    ) -> Segmentation:
        """Segment one image.

        Args:
            image: Path of an image file, a PIL image, or an array as :func:`~.pictures.bgr_of` takes it (RGB).
            branch: Network that predicts, for this image only. Defaults to that of the segmenter.

        Returns:
            ``labels``, ``probabilities``, ``confidence``, ``picture``, ``shares`` at the size of the image.

        Raises:
            UserInputError: If it is no image.
        """
        if isinstance(image, str | os.PathLike):
            picture = self.pipeline.read(image)
            if isinstance(picture, BrokenPicture):
                raise UserInputError(unreadable_sentence(picture.name, picture.reason))
        else:
            picture = self.pipeline.take(bgr_of(image))
        before = self.trained.branch
        self.trained.predict_with(branch)
        try:
            return segment(self.trained, picture, self.amp)
        finally:
            self.trained.predict_with(before)
