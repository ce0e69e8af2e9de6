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
    self_training,
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
    'self_training',
]
