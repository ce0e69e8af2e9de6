"""Which segmentors can be adapted: those whose heads make one map of logits with a loss on it."""

from __future__ import annotations

from typing import Any

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from torch import nn

from ...errors import UserInputError


def check_logits_map(segmentor: Any) -> None:
    """Refuse a segmentor whose decode head is not one map of logits with ``loss_decode`` on it.

    Args:
        segmentor: A built segmentor.

    Raises:
        ValueError: If it is no ``EncoderDecoder``, or a head does not follow ``BaseDecodeHead``, its loss included.
    """
    if not isinstance(segmentor, EncoderDecoder) or not isinstance(
        segmentor.decode_head, BaseDecodeHead
    ):
        raise UserInputError(
            'segmentor must be an EncoderDecoder whose decode head derives from BaseDecodeHead, got '
            f'{type(segmentor).__name__}: cascaded and mask-classification models have no logits map to adapt.'
        )
    _check_head_losses(segmentor)


def _check_head_losses(segmentor: EncoderDecoder) -> None:
    """Refuse a head whose loss is not ``loss_decode`` on its logits, which is what methods compute."""
    heads = [segmentor.decode_head]
    if segmentor.with_auxiliary_head:
        auxiliary = segmentor.auxiliary_head
        heads += list(auxiliary) if isinstance(auxiliary, nn.ModuleList) else [auxiliary]
    for head in heads:
        if any(
            getattr(type(head), name, None) is not getattr(BaseDecodeHead, name)
            for name in ('loss', 'loss_by_feat')
        ):
            raise UserInputError(
                f'{type(head).__name__} computes its loss in a way of its own, which adaptation does not follow: '
                'take a head that keeps the loss of BaseDecodeHead, or leave it out if it is an auxiliary one.'
            )
