"""Segmentors, backbones, heads, necks, discriminators and losses of the methods."""

from . import (
    backbones,
    data_preprocessors,
    decode_heads,
    discriminators,
    losses,
    necks,
    segmentors,
)

__all__ = [
    'backbones',
    'data_preprocessors',
    'decode_heads',
    'discriminators',
    'losses',
    'necks',
    'segmentors',
]
