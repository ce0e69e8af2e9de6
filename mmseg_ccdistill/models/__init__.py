"""Segmentors and their parts."""

from . import (
    backbones,
    data_preprocessors,
    decode_heads,
    discriminators,
    losses,
    necks,
    relighting,
    segmentors,
)

__all__ = [
    'backbones',
    'data_preprocessors',
    'decode_heads',
    'discriminators',
    'losses',
    'necks',
    'relighting',
    'segmentors',
]
