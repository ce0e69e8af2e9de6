"""Which feature map is F_D, the map whose correlations are distilled."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import EncoderDecoder
from torch import Tensor, nn

from ...errors import UserInputError

#: ``feature`` value for the last map before the classifier.
DECODE_HEAD = 'decode_head'

#: Height and width in pixels of the probe image that tells the backbone's widths: two cells at the usual stride 32.
_PROBE_SIZE = (64, 64)


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


def _probe(backbone: nn.Module, crop: tuple[int, int] | None) -> Sequence[Tensor]:
    """Maps of a black image: a small one, or one of the training's size if the backbone does not take that.

    Backbones whose patches are no part of 64 pixels, or that fix the size of their input, refuse the small one;
    the full size costs seconds on a CPU.
    """
    parameter = next(backbone.parameters())
    error: Exception
    for height, width in dict.fromkeys((_PROBE_SIZE, crop or _PROBE_SIZE)):
        try:
            return backbone(parameter.new_zeros(1, 3, height, width))
        except (AssertionError, RuntimeError, ValueError) as refusal:
            error = refusal
    tried = f'{width}x{height} pixels' + (', model.data_preprocessor.size,' if crop else '')
    raise UserInputError(
        f'{type(backbone).__name__} does not take an image of {tried} ({" ".join(str(error).split())[:200]}): expected '
        'a size that it takes, for example a multiple of its patches; set model.data_preprocessor.size and the crops '
        'of the training pipelines to one.'
    ) from error


def feature_channels(
    segmentor: EncoderDecoder, feature: str, crop: tuple[int, int] | None = None
) -> int:
    """Channels of the chosen feature, found by a forward pass of the backbone.

    Args:
        segmentor (EncoderDecoder): The built branch.
        feature (str): ``'backbone.<index>'`` or ``'decode_head'``.
        crop (tuple[int, int] | None): Height and width of a training image in pixels, for a backbone that does not
            take a small one. Defaults to None.

    Returns:
        int: Number of channels C of F_D.

    Raises:
        ValueError: If the index does not exist, the head has no such map of its own, or the backbone takes no
            image of that size.
    """
    index = backbone_index(feature)
    if index is None:
        _check_head_feature(type(segmentor.decode_head))
        return int(segmentor.decode_head.conv_seg.in_channels)
    training = segmentor.backbone.training
    segmentor.backbone.eval()  # keeps the running statistics as they are
    with torch.no_grad():
        maps = _probe(segmentor.backbone, crop)
    segmentor.backbone.train(training)
    if not -len(maps) <= index < len(maps):
        raise UserInputError(
            f'feature={feature!r}: {type(segmentor.backbone).__name__} returns {len(maps)} maps with channels '
            f'{[int(m.shape[1]) for m in maps]}; choose an index from 0 to {len(maps) - 1} or -1.'
        )
    return int(maps[index].shape[1])
