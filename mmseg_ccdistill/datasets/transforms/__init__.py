"""Transforms of the day-night recipe."""

from .cached_image import LoadCachedImage
from .copy_source_day import CopySourceDay
from .draw_mixing import DrawMixing
from .formatting import PackCrossDomainInputs
from .lab_style import LABStyle
from .lab_transfer import LABTransfer, RecordLABStatistics, lab_statistics, lab_transfer
from .night_lights import NightLights

__all__ = [
    'CopySourceDay',
    'DrawMixing',
    'lab_statistics',
    'lab_transfer',
    'LABStyle',
    'LABTransfer',
    'LoadCachedImage',
    'NightLights',
    'PackCrossDomainInputs',
    'RecordLABStatistics',
]
