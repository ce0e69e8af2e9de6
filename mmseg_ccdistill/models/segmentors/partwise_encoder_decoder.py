"""A segmentor that is trained on a mixture of labelled sets and logs the loss of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import SampleList
from torch import Tensor

from ...errors import UserInputError
from ..losses.loss_by_part import loss_by_part, weigh_parts
from .adaptation_segmentor import AdaptationSegmentor


@MODELS.register_module()
class PartwiseEncoderDecoder(EncoderDecoder):
    """``EncoderDecoder`` on the samples of ``MixedDataset``: the network of DMAda, GCMA and MGCDA.

    It has the weights, the predictions and the checkpoints of an ``EncoderDecoder``. The loss of the decode head is one
    mean over the labelled pixels of the batch; ``part.<name>`` in the log is the mean over one part alone, in the
    steps whose batch holds it.

    Args:
        part_weights (dict[str, float], optional): λ by the name of the part: the loss is then the sum of λ times the
            mean over the part, over the parts that the batch holds. All parts of the data must be named. Defaults to
            None: one mean, the shares of the parts weigh.
        **kwargs: Of ``EncoderDecoder``.

    Raises:
        UserInputError: If a weight is negative; in training, if a part has none.
    """

    def __init__(self, part_weights: Mapping[str, float] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name, weight in (part_weights or {}).items():
            if not weight >= 0:
                raise UserInputError(
                    f'model.part_weights.{name} is {weight}: expected a number >= 0; correct it.'
                )
        self.part_weights = part_weights

    def _decode_head_forward_train(
        self, inputs: Sequence[Tensor], data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Loss of the decode head, and the mean over each part for the log."""
        head = self.decode_head
        labels = AdaptationSegmentor.ground_truth(data_samples)
        logits = head(inputs)  # small: the loss upsamples them, and keeps their gradient alone
        head_loss = partial(AdaptationSegmentor.head_loss, head)
        parts = [sample.metainfo.get('part', 'all') for sample in data_samples]
        if self.part_weights is None:
            loss = head_loss(logits, labels)
            with torch.no_grad():
                by_part = loss_by_part(head_loss, logits, labels, parts)
        else:
            self._check_weights(parts)
            by_part = loss_by_part(head_loss, logits, labels, parts)
            loss = weigh_parts(by_part, self.part_weights)
        log = {f'part.{name}': value.detach() for name, value in by_part.items()}
        return {'decode.loss_seg': loss, **log}

    def _check_weights(self, parts: Sequence[str]) -> None:
        """Each part of the batch has a weight."""
        assert self.part_weights is not None
        for name in parts:
            if name not in self.part_weights:
                raise UserInputError(
                    f'model.part_weights has no weight for the part {name!r}: expected one for each part of '
                    'train_dataloader.dataset; add it, or leave part_weights out.'
                )
