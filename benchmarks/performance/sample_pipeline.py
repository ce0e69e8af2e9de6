"""A training sample, from the files to what the network is given, against the decoding of its files alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from benchmarks.performance.frames import write_frames
from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from benchmarks.repository import ROOT
from mmseg_ccdistill.curation.caching import fill_cache, list_images, prepare_cache
from mmseg_ccdistill.datasets.draw import Draw
from mmseg_ccdistill.datasets.image_cache import SUFFIXES

PAPER = ROOT / 'configs/ccdistill/refinenet_r101_cs2dz.py'
PLUS = PAPER.with_name('refinenet_r101_cs2dz_plus.py')


def training_set(folder: Path, kind: str | None = None, path: Path = PAPER) -> Any:
    """The training set of the paper's config, or of another one.

    Args:
        folder: Holds ``cityscapes`` and ``dark_zurich``.
        kind: Format of a cache of them, which is made in ``folder``. Defaults to None, no cache.
        path: The config. Defaults to that of the paper.

    Returns:
        ``CrossDomainDataset``.
    """
    config = Config.fromfile(str(path))
    init_default_scope('mmseg')
    options = config.train_dataloader.dataset
    options.source.data_root = str(folder / 'cityscapes')
    options.target.data_root = str(folder / 'dark_zurich')
    for part in (options.source, options.target) if kind else ():
        root = Path(part.data_root)
        cache = prepare_cache(root, folder / f'{kind}/{root.name}', str(kind))
        fill_cache(cache, list_images(root))
        part.pipeline[0] = dict(type='LoadCachedImage', cache=str(cache.folder))
    return DATASETS.build(options)


class Drawing:
    """Samples of one training set, always the same ones in the same order.

    Args:
        dataset: What :func:`training_set` returned.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset
        self.number = 0

    def __call__(self) -> None:
        """Make the next sample."""
        index = self.number % len(self.dataset)
        self.dataset[Draw(seed=0, number=self.number, index=index)]
        self.number += 1


def decode(paths: list[Path]) -> None:
    """Decode the files of one sample: three images, and labels.

    Args:
        paths: The images, and last the labels.
    """
    for path in paths[:-1]:
        cv2.imread(str(path), cv2.IMREAD_COLOR)
    cv2.imread(str(paths[-1]), cv2.IMREAD_UNCHANGED)


def pipeline_row(sizes: Sizes) -> dict[str, Any]:
    """One sample, and one with light on S_n and draws of self-training, over decoding a labelled day and a pair."""
    with tempfile.TemporaryDirectory() as folder:
        images = write_frames(Path(folder), sizes)
        label = next(Path(folder).rglob('*labelTrainIds.png'))
        both: dict[str, Callable[[], None]] = {
            'pipeline': Drawing(training_set(Path(folder))),
            'plus': Drawing(training_set(Path(folder), path=PLUS)),
            'decode': lambda: decode([*images[:3], label]),
        }
        return compare(both, sizes, base='decode')


def cache_row(sizes: Sizes) -> dict[str, Any]:
    """One sample from a cache, in either format, over one from the files as they are published."""
    with tempfile.TemporaryDirectory() as folder:
        write_frames(Path(folder), sizes)
        sets = {kind: training_set(Path(folder), kind) for kind in (None, *SUFFIXES)}
        named = {kind or 'files': Drawing(dataset) for kind, dataset in sets.items()}
        return compare(named, sizes, base='files')
