"""Segmentors, backbones, heads, necks and losses of CCDistill."""

from . import backbones, data_preprocessors, decode_heads, losses, necks, segmentors

__all__ = ['backbones', 'data_preprocessors', 'decode_heads', 'losses', 'necks', 'segmentors']
