"""From the published archives to the layout that the configs read."""

from .archives import Limits, PreparationError, list_members
from .cityscapes_labels import convert_label, write_train_ids
from .lists import (
    NIGHT_PAIRS,
    TWILIGHT_PAIRS,
    read_dark_zurich_pairs,
    write_bdd100k_night,
    write_dark_zurich_pairs,
)
from .unpacking import Placed, place_sources

__all__ = [
    'convert_label',
    'Limits',
    'NIGHT_PAIRS',
    'list_members',
    'place_sources',
    'Placed',
    'PreparationError',
    'TWILIGHT_PAIRS',
    'read_dark_zurich_pairs',
    'write_bdd100k_night',
    'write_dark_zurich_pairs',
    'write_train_ids',
]
