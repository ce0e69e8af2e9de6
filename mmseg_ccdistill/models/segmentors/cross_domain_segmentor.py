"""Base class of methods that adapt a day segmentor and a night segmentor side by side."""

from __future__ import annotations

from .adaptation_segmentor import AdaptationSegmentor


class CrossDomainSegmentor(AdaptationSegmentor):
    """Two complete segmentors of one architecture, one per illumination.

    ``day`` (M_d) sees ``source_day`` and ``target_day``, ``night`` (M_n) sees ``source_night`` and ``target_night``.
    Both start from equal weights and share none; ``night`` predicts, as in the paper. Arguments are those of
    :class:`AdaptationSegmentor`.
    """

    networks = ('day', 'night')
    routes = {
        'source_day': 'day',
        'source_night': 'night',
        'target_day': 'day',
        'target_night': 'night',
    }
