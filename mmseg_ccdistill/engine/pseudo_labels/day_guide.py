"""The day images that guide the labels of dark ones: which they are, and what the unadapted network says of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmseg.models.segmentors import BaseSegmentor
from torch import Tensor

from ...curriculum import PairRefinement, refinement_settings
from ...datasets import read_pair_list
from ...datasets.published_sets import ANON_SUFFIX
from ...errors import UserInputError
from ...runtime.file_digest import file_digest, listing_digest
from ...runtime.run_log import warn
from ..inference import load_segmentor
from ..start_up_checks import check_checkpoint_file
from .guesses import head_probabilities


@dataclass
class DayPrediction:
    """Probabilities of day images by the guide.

    Attributes:
        checkpoint: File of its weights.
        model: The network; None until :meth:`load`.
        pipeline: Makes of ``{'img_path': …}`` a packed sample; None until :meth:`load`.
    """

    checkpoint: str
    model: BaseSegmentor | None = None
    pipeline: Compose | None = None

    def load(self, config: Config, pipeline: Compose) -> None:
        """Build the network.

        Args:
            config: Its config.
            pipeline: From ``{'img_path': …}`` to a packed sample at test size.

        Raises:
            UserInputError: If the checkpoint is not of this config.
        """
        self.model, self.pipeline = load_segmentor(config, self.checkpoint), pipeline

    @torch.inference_mode()
    def __call__(self, path: str) -> npt.NDArray[np.float32]:
        """Predict.

        Args:
            path: A day image.

        Returns:
            Probabilities at the stride of the head, float32 ``(K, h, w)``.
        """
        assert self.model is not None and self.pipeline is not None
        batch = pseudo_collate([self.pipeline(dict(img_path=path, seg_fields=[]))])
        return (
            head_probabilities(self.model, self.model.data_preprocessor(batch, False))[0]
            .cpu()
            .numpy()
        )


@dataclass(frozen=True)
class DayGuide:
    """How day images guide a labelling.

    Attributes:
        refinement: Refines a prediction by that on the day image, and keeps what it did.
        prediction: The unadapted network; load it before the first image.
        pairs: SHA-256 of the pairs.
    """

    refinement: PairRefinement
    prediction: DayPrediction
    pairs: str

    def __call__(self, probabilities: Tensor, path: str) -> Tensor:
        """Refine, see :data:`~mmseg_ccdistill.engine.pseudo_labels.guesses.Refine`."""
        refined = self.refinement(probabilities.cpu().numpy(), path)
        return torch.from_numpy(refined).to(probabilities)

    def facts(self) -> dict[str, Any]:
        """What the labels depend on, plain values by name.

        Raises:
            UserInputError: If the checkpoint of the guide is missing.
        """
        check_checkpoint_file(self.prediction.checkpoint, 'refine.guide')
        root = self.refinement.depth_root
        return {
            **asdict(self.refinement.settings),
            'guide': file_digest(self.prediction.checkpoint),
            'pairs': self.pairs,
            'depth': None if root is None else listing_digest(root),
        }


def read_day_guide(
    given: Mapping[str, Any], images: Mapping[str, str], num_classes: int
) -> DayGuide:
    """The guide that ``--refine`` names, checked before a network is built; its checkpoint need not be there yet.

    Args:
        given: ``guide``: checkpoint of the unadapted network; ``pairs``: list, or folder of lists, with the day image
            of each dark one; optional ``depth_root``: folder with the depth of the day images, ``suffix``: end of the
            names of the images, and settings of :func:`~mmseg_ccdistill.curriculum.refinement_settings`.
        images: The dark images: files by name.
        num_classes: Number of classes.

    Returns:
        The guide.

    Raises:
        UserInputError: If a setting is missing, unknown or wrong, a list or folder is missing, no image has a day
            image, or no day image has depth in ``depth_root``.
    """
    rest = dict(given)
    for name, what in (
        ('guide', 'the checkpoint of the unadapted network'),
        ('pairs', 'the list of the day images'),
    ):
        if not rest.get(name):
            raise UserInputError(
                f'refine.{name} is not set: expected {what}; add {name}=... to --refine'
            )
    checkpoint, pairs = str(rest.pop('guide')), str(rest.pop('pairs'))
    root, suffix = rest.pop('depth_root', None), str(rest.pop('suffix', ANON_SUFFIX))
    settings = refinement_settings(rest)
    settings.check_classes(num_classes)
    day_of = day_images(pairs, images, suffix)
    prediction = DayPrediction(checkpoint)
    refinement = PairRefinement(day_of, prediction, settings, None if root is None else str(root))
    found, days = len(refinement.depth_of), len(set(day_of.values()))
    if root is not None and found < days:
        warn(
            f'{found} of {days} day images have depth in refine.depth_root {root}; for the others a homography is tried'
        )
    chosen = sorted(
        f'{name}\0{_ending(day_of[path], suffix)}'
        for name, path in images.items()
        if path in day_of
    )
    return DayGuide(refinement, prediction, hashlib.sha256('\n'.join(chosen).encode()).hexdigest())


def _ending(path: str, suffix: str) -> str:
    """Name and folder of an image, without where the data lie."""
    return '/'.join(path.removesuffix(suffix).split('/')[-2:])


def day_images(pairs: str, images: Mapping[str, str], suffix: str = ANON_SUFFIX) -> dict[str, str]:
    """The day image of each dark image that has one.

    A line ``train/twilight/A/x,train/day/A/y`` is of the image ``ROOT/train/twilight/A/x<suffix>``, whatever ROOT is.

    Args:
        pairs: See :func:`~mmseg_ccdistill.datasets.read_pair_list`.
        images: The dark images: files by name.
        suffix: End of the names of all images.

    Returns:
        File of the day image by that of the dark one.

    Raises:
        UserInputError: If the list is missing or wrong, or names none of the images.
    """
    day_of_stem = dict(read_pair_list(pairs))
    found = {}
    for path in images.values():
        parts = path.removesuffix(suffix).replace(os.sep, '/').split('/')
        for start in range(len(parts) if path.endswith(suffix) else 0):
            day = day_of_stem.get('/'.join(parts[start:]))
            if day is not None:
                found[path] = '/'.join([*parts[:start], f'{day}{suffix}'])
                break
    if not found:
        raise UserInputError(
            f'refine.pairs {pairs!r} names no day image for any of the {len(images)} images, e.g. not for '
            f'{next(iter(images.values()))!r}: expected lines <image>,<day image> as the paths end, without '
            f'{suffix!r}; correct refine.pairs or refine.suffix'
        )
    return found
