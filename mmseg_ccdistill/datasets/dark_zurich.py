"""Dark Zurich as its archives unpack (Sakaridis et al., ICCV 2019): pairs to adapt to, night frames to test on."""

from __future__ import annotations

from typing import Any

from mmseg.registry import DATASETS

from .day_night_pairs import DayNightPairDataset
from .night_frames import NightFramesDataset
from .published_sets import ANON_SUFFIX, CORRESPONDENCES, DARK_ZURICH, PAIR_FOLDER, PAIR_LIST


@DATASETS.register_module()
class DarkZurichPairDataset(DayNightPairDataset):
    """The day-night pairs of Dark Zurich.

    Args:
        ann_file: As in :class:`DayNightPairDataset`. Defaults to ``'lists/zurich_dn_pair_train.csv'``.
        img_suffix: What follows a stem. Defaults to ``'_rgb_anon.png'``.
        data_prefix: Defaults to ``dict(img_path='rgb_anon')``.
        **kwargs: As in :class:`DayNightPairDataset`.
    """

    #: Hint of ``check_roots`` to those who have the published archive only.
    list_hint = f', e.g. {CORRESPONDENCES!r}, the pairs that Dark Zurich ships'

    def __init__(
        self,
        ann_file: str = PAIR_LIST,
        img_suffix: str = ANON_SUFFIX,
        data_prefix: dict | None = None,
        **kwargs: Any,
    ) -> None:
        data_prefix = dict(img_path=PAIR_FOLDER) if data_prefix is None else data_prefix
        super().__init__(ann_file, img_suffix, data_prefix, **kwargs)


@DATASETS.register_module()
class DarkZurichNightDataset(NightFramesDataset):
    """Night frames of Dark Zurich; only those of val are labelled.

    Images lie in ``rgb_anon/<split>/night/<SEQ>/<stem>_rgb_anon.png``, labels of val in
    ``gt/val/night/<SEQ>/<stem>_gt_labelTrainIds.png``. Unlike MMSegmentation's
    ``DarkZurichDataset``, it never lists the day references, whose names end alike.

    Args:
        split: ``'val'`` (default), labelled; ``'train'`` or ``'test'``, unlabelled.
        **kwargs: As in :class:`NightFramesDataset`.
    """

    published = DARK_ZURICH
    other_conditions = ('day', 'twilight')
