"""ACDC by night: 400 train, 106 val and 500 test frames of 1920x1080 (labels of test on the server)."""

from __future__ import annotations

from mmseg.registry import DATASETS

from .night_frames import NightFramesDataset


@DATASETS.register_module()
class ACDCNightDataset(NightFramesDataset):
    """Night frames of ACDC as its archives unpack (Sakaridis et al., ICCV 2021).

    Images lie in ``rgb_anon/night/<split>/<SEQ>/<stem>_rgb_anon.png``, labels in
    ``gt/night/<split>/<SEQ>/<stem>_gt_labelTrainIds.png``. The tree that HRDA and MIC flatten to
    ``rgb_anon/<split>`` mixes all weathers and cannot be used for night alone.

    ACDC shares recordings with Dark Zurich: its labelled night scenes include the sequences of Dark
    Zurich's night train split, and its night test split holds Dark Zurich's test sequences. Labels
    of ``split='train'`` are no part of unsupervised adaptation to Dark Zurich.

    The name is not ``ACDCDataset``, which other packages use for a cardiac MRI set.

    Args:
        split: ``'val'`` (default) or ``'train'``, labelled; ``'test'``, unlabelled.
        **kwargs: As in :class:`NightFramesDataset`.
    """

    image_folder = 'rgb_anon/night/{split}'
    label_folder = 'gt/night/{split}'
    labelled_splits = ('train', 'val')
    other_conditions = ('fog', 'rain', 'snow', 'day')
