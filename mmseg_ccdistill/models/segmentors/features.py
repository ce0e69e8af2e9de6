"""Which feature map is F_D, the map whose correlations are distilled."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor

from ...errors import UserInputError

#: ``feature`` value for the last map before the classifier.
DECODE_HEAD = 'decode_head'

#: Side in pixels of the probe image that tells the backbone's widths: two cells at the usual stride 32.
_PROBE_SIDE = 64


def backbone_index(feature: str) -> int | None:
    """Index of a ``'backbone.<i>'`` feature, None for ``'decode_head'``.

    Raises:
        ValueError: If ``feature`` is neither.
    """
    if feature == DECODE_HEAD:
        return None
    match = re.fullmatch(r'backbone\.(-?\d+)', feature)
    if match is None:
        raise UserInputError(
            f"feature must be 'backbone.<index>' (e.g. 'backbone.-1', the last map) or '{DECODE_HEAD}', "
            f'got {feature!r}.'
        )
    return int(match.group(1))


def head_feature(head: BaseDecodeHead, inputs: Sequence[Tensor]) -> Tensor:
    """Last map ``(B, C, h, w)`` of a decode head, before its dropout and classifier."""
    return head._forward_feature(inputs)


def _check_head_feature(head: type) -> None:
    """Refuse a head whose ``forward`` is not its classifier on its ``_forward_feature``.

    Several heads inherit ``_forward_feature`` and put layers after it in a ``forward`` of their own
    (``DepthwiseSeparableASPPHead``, ``NLHead``): going on from the inherited map would skip those.
    """
    definitions = {
        name: [base for base in head.__mro__ if name in vars(base)]
        for name in ('forward', '_forward_feature')
    }
    if not definitions['_forward_feature']:
        raise UserInputError(
            f"feature='{DECODE_HEAD}' needs a head with a _forward_feature method, "
            f"{head.__name__} has none: use feature='backbone.-1'."
        )
    forward, feature = (bases[0] for bases in definitions.values())
    if forward is not feature and issubclass(forward, feature):
        raise UserInputError(
            f"feature='{DECODE_HEAD}' would skip layers of {head.__name__}: the forward of "
            f'{forward.__name__} does more than the _forward_feature of {feature.__name__}; '
            "use feature='backbone.-1'."
        )


def feature_channels(segmentor: EncoderDecoder, feature: str) -> int:
    """Channels of the chosen feature, found by a tiny forward pass of the backbone.

    Args:
        segmentor (EncoderDecoder): The built branch.
        feature (str): ``'backbone.<index>'`` or ``'decode_head'``.

    Returns:
        int: Number of channels C of F_D.

    Raises:
        ValueError: If the index does not exist or the head has no such map of its own.
    """
    index = backbone_index(feature)
    if index is None:
        _check_head_feature(type(segmentor.decode_head))
        return int(segmentor.decode_head.conv_seg.in_channels)
    parameter = next(segmentor.backbone.parameters())
    training = segmentor.backbone.training
    segmentor.backbone.eval()  # keeps the running statistics as they are
    with torch.no_grad():
        maps = segmentor.backbone(parameter.new_zeros(1, 3, _PROBE_SIDE, _PROBE_SIDE))
    segmentor.backbone.train(training)
    if not -len(maps) <= index < len(maps):
        raise UserInputError(
            f'feature={feature!r}: {type(segmentor.backbone).__name__} returns {len(maps)} maps with channels '
            f'{[int(m.shape[1]) for m in maps]}; choose an index from 0 to {len(maps) - 1} or -1.'
        )
    return int(maps[index].shape[1])
