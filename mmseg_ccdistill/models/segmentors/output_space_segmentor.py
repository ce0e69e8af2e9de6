"""Base of the methods that adapt one network by a loss on its outputs, at one level or two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.utils import ConfigType, SampleList
from torch import Tensor, nn

from ...domains import DomainSamples, DomainTensors
from ...errors import UserInputError
from ..precision import autocast_off, full_precision
from .adaptation_segmentor import AdaptationSegmentor

#: The levels: the decode head, and the auxiliary head on an earlier map of the backbone.
MAIN, AUXILIARY = 'main', 'aux'


class OutputLevels(NamedTuple):
    """What the network says about one domain.

    Attributes:
        head_inputs: What the heads read.
        logits: ``(B, K, h, w)`` of each level.
        size: Height and width of the images.
    """

    head_inputs: Sequence[Tensor]
    logits: dict[str, Tensor]
    size: tuple[int, int]


class OutputSpaceSegmentor(AdaptationSegmentor):
    """One network on a labelled source and unlabelled T_n, with a loss on its outputs.

    A method writes :meth:`adaptation_losses`. Source and target are separate forward passes, S first: batch statistics
    never mix. With two levels the outputs of the auxiliary head are adapted too. It is trained and saved; prediction
    does not use it.

    Attributes:
        source: The labelled domain: S_d, unless a method takes another one.

    Args:
        segmentor (dict): Config of one ``EncoderDecoder``; for two levels with one ``auxiliary_head``, whose
            ``loss_decode.loss_weight`` is the weight of its supervised loss.
        main_weight (float): Weight of the adaptation loss of the decode head.
        auxiliary_weight (float, optional): Weight of that of the auxiliary head; None: a single level.
        **kwargs: See :class:`AdaptationSegmentor`.

    Raises:
        ValueError: If ``auxiliary_weight`` is not positive, or meets no or several auxiliary heads, or one of other
            classes.
    """

    source: ClassVar[str] = 'source_day'
    networks = ('night',)
    routes = {'source_day': 'night', 'target_night': 'night'}

    def __init__(
        self,
        segmentor: ConfigType,
        main_weight: float,
        auxiliary_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
        self.level_weights = {MAIN: main_weight}
        if auxiliary_weight is not None:
            self._check_auxiliary(auxiliary_weight)
            self.level_weights[AUXILIARY] = auxiliary_weight

    def _check_auxiliary(self, weight: float) -> None:
        """Refuse a second level that cannot be."""
        if not weight > 0:
            raise UserInputError(
                f'auxiliary_weight must be positive, got {weight}: leave it out for a single level.'
            )
        head = self.night.auxiliary_head if self.night.with_auxiliary_head else None
        if head is None or isinstance(head, nn.ModuleList):
            found = 'none' if head is None else len(head)
            raise UserInputError(
                f'auxiliary_weight={weight} adapts the outputs of one auxiliary head, model.segmentor has {found}: '
                'give it one auxiliary_head, or leave auxiliary_weight out for a single level.'
            )
        if head.out_channels != self.out_channels:
            raise UserInputError(
                f'model.segmentor.auxiliary_head has {head.out_channels} classes, the decode head '
                f'{self.out_channels}: set num_classes of both to the classes of the data.'
            )

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """Losses and diagnostics of one iteration.

        Args:
            inputs (dict[str, Tensor]): Normalised images ``(B, 3, H, W)`` of the source and of ``target_night``.
            data_samples (dict[str, list]): Samples per domain; those of the source carry ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: Weighted terms whose keys contain ``loss`` (they sum to the total), and what the method
            logs.
        """
        source = self.output_levels(inputs[self.source])
        log = self.labelled_loss(self.source, source, data_samples[self.source])
        target = self.output_levels(inputs['target_night'])
        return log | self.adaptation_losses(source, target)

    # The steps of the loss, which a subclass may replace one by one.
    def adaptation_losses(self, source: OutputLevels, target: OutputLevels) -> dict[str, Tensor]:
        """Weighted terms and diagnostics of the method, beside the supervised loss of the source."""
        raise NotImplementedError(f'{type(self).__name__} must define adaptation_losses().')

    def labelled_loss(
        self, domain: str, outputs: OutputLevels, samples: SampleList
    ) -> dict[str, Tensor]:
        """L_seg of a domain whose samples carry ``gt_sem_seg``, at every level."""
        return self.supervised_loss(
            self.night,
            domain,
            outputs.head_inputs,
            outputs.logits[MAIN],
            self.ground_truth(samples),
            [outputs.logits[AUXILIARY]] if AUXILIARY in outputs.logits else None,
        )

    def level_head(self, level: str) -> BaseDecodeHead:
        """The head of a level."""
        return self.night.decode_head if level == MAIN else self.night.auxiliary_head

    def output_levels(self, images: Tensor) -> OutputLevels:
        """Forward pass of one domain, images ``(B, 3, H, W)``."""
        head_inputs = self.encode(self.night, images).head_inputs
        logits = {level: self.level_head(level)(head_inputs) for level in self.level_weights}
        return OutputLevels(head_inputs, logits, (images.shape[2], images.shape[3]))

    def full_logits(self, outputs: OutputLevels, level: str) -> Tensor:
        """Logits of a level at the size of the images ``(B, K, H, W)``, float32 (float64 stays float64)."""
        logits = outputs.logits[level]
        with autocast_off(logits):
            return self.upsample(self.level_head(level), full_precision(logits), outputs.size)

    @staticmethod
    def part(level: str) -> str:
        """What a level adds to the keys of the log: nothing, or ``'aux.'``."""
        return '' if level == MAIN else f'{level}.'
