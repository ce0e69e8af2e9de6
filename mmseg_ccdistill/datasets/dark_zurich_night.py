"""Dark Zurich by night: 2416 train, 50 val and 151 test frames of 1920x1080 (only val has labels)."""

from __future__ import annotations

from mmseg.registry import DATASETS

from .night_frames import NightFramesDataset


@DATASETS.register_module()
class DarkZurichNightDataset(NightFramesDataset):
    """Night frames of Dark Zurich as its archives unpack (Sakaridis et al., ICCV 2019).

    Images lie in ``rgb_anon/<split>/night/<SEQ>/<stem>_rgb_anon.png``, labels of val in
    ``gt/val/night/<SEQ>/<stem>_gt_labelTrainIds.png``. Unlike MMSegmentation's
    ``DarkZurichDataset``, it never lists the day references, whose names end alike.

    Args:
        split: ``'val'`` (default), labelled; ``'train'`` or ``'test'``, unlabelled.
        **kwargs: As in :class:`NightFramesDataset`.
    """

    image_folder = 'rgb_anon/{split}/night'
    label_folder = 'gt/{split}/night'
    labelled_splits = ('val',)
    other_conditions = ('day', 'twilight')
