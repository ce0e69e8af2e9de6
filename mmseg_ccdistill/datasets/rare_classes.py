"""Rare class sampling: source images are chosen by a class, and a rare class is chosen more often.

After DAFormer (Hoyer et al., CVPR 2022).
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine.dataset import Compose
from mmseg.datasets.transforms import LoadAnnotations

from ..domains import DOMAINS
from ..errors import UserInputError
from .file_check import leaf_datasets
from .transforms.cached_image import LoadCachedImage
from .transforms.lab_transfer import RecordLABStatistics

#: Stream of a seed that chooses class and image; ``draw`` and ``unreadable`` have those before it.
_STREAM = 4
#: Steps that draw no random numbers. Classes derived from them may.
_LOADING = (LoadImageFromFile, LoadCachedImage, LoadAnnotations, RecordLABStatistics)
#: Images that are held at most during a draw: a day and its translation.
_KEPT = 2


class WantedClass(NamedTuple):
    """What the crop of a source image shall show.

    Attributes:
        class_id: The class.
        min_pixels: The crop shall have more pixels of it than this.
        tries: How often it is cropped at most; the last crop stays.
    """

    class_id: int
    min_pixels: float
    tries: int


def class_probabilities(
    frequencies: np.ndarray, temperature: float, there: np.ndarray
) -> np.ndarray:
    r"""How often each class is the one that an image is chosen for.

    .. math:: P(c) \propto e^{(1 - f_c) / T}

    over the classes that some image has; a class that no image has is never chosen.

    Args:
        frequencies: f, share of each class in all labelled pixels, ``(K,)``.
        temperature: T, positive.
        there: Which classes some image has enough of, ``(K,)`` bool, at least one.

    Returns:
        float64 ``(K,)``, sums to 1.
    """
    score = np.where(there, (1 - np.asarray(frequencies, dtype=np.float64)) / temperature, -np.inf)
    weight = np.exp(score - score.max())
    return weight / weight.sum()


class RareClasses:
    """Chooses the source image of a draw.

    The class is drawn by :func:`class_probabilities`, then an image uniformly among those with more than
    ``min_pixels`` pixels of it. A choice follows from seed and number of the draw alone, so nothing has to be saved
    for a resumed run to go on exactly.

    Args:
        pixels: Pixels of each class in each image, int64 ``(N, K)``.
        temperature: T. DAFormer takes 0.01 on Cityscapes; the larger, the more even. Defaults to 0.01.
        min_pixels: Pixels that an image must have of a class to be chosen for it, at the full size of its label.
            Defaults to 3000 (DAFormer, labels of 2048 x 1024).
        crop_ratio: The crop shall have more than ``crop_ratio * min_pixels``. Defaults to 0.5.
        tries: How often an image is cropped at most. Defaults to 10.

    Raises:
        UserInputError: On a number out of its range, or if no image has enough pixels of any class.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        temperature: float = 0.01,
        min_pixels: int = 3000,
        crop_ratio: float = 0.5,
        tries: int = 10,
    ) -> None:
        key = 'train_dataloader.sampler.rare_classes'
        numbers = dict(temperature=temperature, min_pixels=min_pixels, crop_ratio=crop_ratio)
        for name, value in numbers.items():
            if not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise UserInputError(f'{key}.{name} must be a number from 0 on, got {value!r}.')
        if temperature == 0:
            raise UserInputError(f'{key}.temperature must be positive, got {temperature}.')
        if not isinstance(tries, int) or tries < 1:
            raise UserInputError(f'{key}.tries must be an integer from 1 on, got {tries!r}.')
        self.images = [np.flatnonzero(column > min_pixels) for column in pixels.T]
        there = np.array([len(images) > 0 for images in self.images])
        if not there.any():
            raise UserInputError(
                f'{key}.min_pixels={min_pixels}: no source image has more than so many pixels of any class (the most '
                f'are {int(pixels.max())}): expected a number below that; lower it.'
            )
        self.probabilities = class_probabilities(pixels.sum(0) / pixels.sum(), temperature, there)
        self._rising = np.cumsum(self.probabilities)
        self.min_pixels = crop_ratio * min_pixels
        self.tries = tries

    def choose(self, seed: int, number: int) -> tuple[int, WantedClass]:
        """Choose the image of a draw.

        Args:
            seed: Seed of the run.
            number: Number of the draw.

        Returns:
            Position of the image in the source, and what its crop shall show.
        """
        sequence = np.random.SeedSequence(seed, spawn_key=(_STREAM, number))
        first, second = np.random.RandomState(np.random.MT19937(sequence)).random_sample(2)
        # Rounding may leave the sum below 1; the last class that can be chosen takes the rest.
        last = np.flatnonzero(self.probabilities)[-1]
        class_id = min(int(np.searchsorted(self._rising, first, side='right')), int(last))
        images = self.images[class_id]
        index = int(images[int(second * len(images))])
        return index, WantedClass(class_id, self.min_pixels, self.tries)


def fetch_wanted(
    fetch: Callable[[], tuple[Any, list[str]]], wanted: WantedClass | None, dataset: Any
) -> tuple[Any, list[str]]:
    """Fetch a sample until its crop shows the wanted class, at most as often as wanted.

    Args:
        fetch: Returns a sample and files that could not be read; each call crops anew.
        wanted: What the crop shall show; None: anything.
        dataset: What ``fetch`` asks. Its files are loaded once for all tries.

    Returns:
        What the last call returned.
    """
    if wanted is None or wanted.tries == 1:
        return fetch()
    with _loaded_once(dataset):
        for _ in range(wanted.tries - 1):
            found = fetch()
            if _pixels(found[0], wanted.class_id) > wanted.min_pixels:
                return found
        return fetch()


@contextmanager
def _loaded_once(dataset: Any) -> Iterator[None]:
    """Let the pipelines of a data set load each file once until the block ends.

    What is left out draws no random numbers, so samples are the same to the bit.
    """
    pipelines: list[tuple[Any, list[Callable]]] = []
    for leaf in leaf_datasets(dataset):
        pipeline: Any = getattr(leaf, 'pipeline', None)
        steps = getattr(pipeline, 'transforms', [])
        loading = list(itertools.takewhile(lambda step: type(step) in _LOADING, steps))
        if loading:
            pipelines.append((pipeline, steps))
            pipeline.transforms = [_LoadOnce(loading), *steps[len(loading) :]]
    try:
        yield
    finally:
        for pipeline, steps in pipelines:
            pipeline.transforms = steps


class _LoadOnce:
    """The loading steps of a pipeline; of what they have loaded each call returns a copy.

    Args:
        steps: The steps.
    """

    def __init__(self, steps: list[Callable]) -> None:
        self._load = Compose(steps)
        self._loaded: dict[tuple, dict | None] = {}

    def __call__(self, info: dict) -> dict | None:
        """Load the files of an image, or copy what was loaded of them.

        Args:
            info: What is known of the image.
        """
        key = tuple(info.get(name) for name in ('sample_idx', 'img_path', 'seg_map_path'))
        if key not in self._loaded:
            if len(self._loaded) == _KEPT:
                self._loaded.clear()
            self._loaded[key] = self._load(info)
        return copy.deepcopy(self._loaded[key])


def _pixels(sample: Any, class_id: int) -> int:
    """Pixels of a class in a sample, packed or not, of a source that returns one domain or several."""
    if not isinstance(sample, Mapping):
        return 0
    results = next((sample[domain] for domain in DOMAINS if domain in sample), sample)
    if 'gt_seg_map' in results:
        return int((results['gt_seg_map'] == class_id).sum())
    packed: Any = results.get('data_samples')
    if packed is None or 'gt_sem_seg' not in packed:
        return 0
    return int((packed.gt_sem_seg.data == class_id).sum())
