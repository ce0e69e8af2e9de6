"""One pass of a decoder for several domains, where it mixes no samples.

RefineNet's decoder has no batch normalisation, so a sample's logits do not depend on the others of its batch: S_n and
T_n may go through M_n's decoder together. That is half as many kernels for the same FLOP. Values and gradients are the
same; dropout draws other random numbers. Both domains' maps of the decoder are kept at once, as without it, and the
backbone's maps are copied for it.
"""

from __future__ import annotations

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch.nn.modules.batchnorm import _BatchNorm

from ...errors import UserInputError
from .adaptation_segmentor import DomainMaps
from .features import backbone_index


def check_batched_decoder(
    head: BaseDecodeHead, feature: str, goes_backward_early: bool, has_pseudo_labels: bool
) -> None:
    """Refuse what cannot be decoded together.

    Args:
        head: Decoder.
        feature: ``model.feature``.
        goes_backward_early: ``model.early_decoder_backward``.
        has_pseudo_labels: Whether there is a ``model.loss_pseudo``.

    Raises:
        UserInputError: If the head mixes samples in training, F_D is its map, its maps shall be freed one by one, or
            it sees no T_n.
    """
    if not has_pseudo_labels:
        raise UserInputError(
            'batch_night_decoder=True decodes S_n together with T_n, and with loss_pseudo=None T_n is not decoded: '
            'leave it out.'
        )
    if any(isinstance(module, _BatchNorm) for module in head.modules()):
        raise UserInputError(
            f'batch_night_decoder=True needs a decoder without batch normalisation, and {type(head).__name__} has it: '
            'statistics of S_n and T_n would mix; leave it out.'
        )
    if backbone_index(feature) is None:
        raise UserInputError(
            "batch_night_decoder=True needs feature='backbone.<index>': with feature='decode_head' the decoder's map "
            'of each domain is computed before its logits; leave it out.'
        )
    if goes_backward_early:
        raise UserInputError(
            'batch_night_decoder=True keeps two decoders at once, early_decoder_backward=True one: take one of them.'
        )


def decode_together(head: BaseDecodeHead, maps: dict[str, DomainMaps]) -> dict[str, DomainMaps]:
    """Logits of several domains from one pass.

    Args:
        head: Decoder.
        maps: By domain; the maps of a level have one shape but for the batch.

    Returns:
        The same with ``logits``.

    Raises:
        UserInputError: If the domains' maps differ in size.
    """
    levels = list(zip(*(m.head_inputs for m in maps.values()), strict=True))
    for level in levels:
        if len({m.shape[1:] for m in level}) > 1:
            raise UserInputError(
                f'batch_night_decoder=True needs crops of one size, and {" and ".join(maps)} differ: set the crops '
                'of both training pipelines to one size, or leave it out.'
            )
    sizes = [len(m.head_inputs[0]) for m in maps.values()]
    logits = head([torch.cat(level) for level in levels]).split(sizes)
    return {d: m._replace(logits=part) for (d, m), part in zip(maps.items(), logits, strict=True)}
