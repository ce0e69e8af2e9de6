"""ACDC by night; the labels of test are on the server."""

from __future__ import annotations

from mmseg.registry import DATASETS

from .night_frames import NightFramesDataset
from .published_sets import ACDC, ACDC_CONDITIONS


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

    published = ACDC
    other_conditions = (*(name for name in ACDC_CONDITIONS if name != 'night'), 'day')
