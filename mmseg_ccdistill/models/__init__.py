"""Segmentors, heads, necks and losses of CCDistill."""

from . import data_preprocessors, decode_heads, losses, necks, segmentors

__all__ = ['data_preprocessors', 'decode_heads', 'losses', 'necks', 'segmentors']
