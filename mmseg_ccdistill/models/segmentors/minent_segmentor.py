"""MinEnt: adaptation by a small entropy at night (Vu et al., ADVENT, CVPR 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from ...errors import UserInputError
from ..losses.class_weights import CITYSCAPES_FREQUENCIES
from ..losses.entropy import check_hardest, class_prior_loss, entropy_loss
from .diagnostics import largest_class
from .output_space_segmentor import MAIN, OutputLevels, OutputSpaceSegmentor


@MODELS.register_module()
class MinEntSegmentor(OutputSpaceSegmentor):
    r"""One network on labelled S_d, and on unlabelled T_n the entropy of its predictions.

    .. math:: L = L_{seg}(S) + \sum_l \lambda_l E_l(T) + \lambda_{cp} L_{cp}(T)

    There is no discriminator and no second optimizer. A small entropy is also that of an image that is all sky: the
    share of the largest class is logged.

    Args:
        segmentor (dict): Config of one ``EncoderDecoder``; see :class:`OutputSpaceSegmentor` for two levels.
        entropy_weight (float): λ of the decode head. Defaults to 0.001, as published.
        auxiliary_weight (float, optional): λ of the auxiliary head; 0.0002 in the published code. Defaults to None, a
            single level.
        hardest (float, optional): Entropy ranking: take this share of each image's pixels, those of the largest
            entropy. In the paper (0.3), not in its code. Defaults to None, all pixels.
        class_prior_weight (float): λ_cp of the prior on the classes, at the decode head. In the paper, not in its code.
            Defaults to 0, off.
        class_prior (Sequence[float], optional): Share of each class in the labels of the source, on any common scale.
            Defaults to None, those of Cityscapes.
        **kwargs: See :class:`AdaptationSegmentor`.

    Raises:
        ValueError: If a weight is not positive, ``hardest`` is no share, the prior is not one positive number for each
            class, or a second level has no auxiliary head.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        entropy_weight: float = 0.001,
        auxiliary_weight: float | None = None,
        hardest: float | None = None,
        class_prior_weight: float = 0.0,
        class_prior: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, entropy_weight, auxiliary_weight, **kwargs)
        if not entropy_weight > 0:
            raise UserInputError(
                f'entropy_weight must be positive, got {entropy_weight}: for no adaptation train the source-only '
                'config.'
            )
        check_hardest(hardest)
        if class_prior_weight < 0:
            raise UserInputError(
                f'class_prior_weight must not be negative, got {class_prior_weight}: 0 turns the prior off.'
            )
        self.hardest = hardest
        self.class_prior_weight = class_prior_weight
        prior = self._shares(class_prior) if class_prior_weight else None
        self.register_buffer('class_prior', prior, persistent=False)

    def _shares(self, class_prior: Sequence[float] | None) -> Tensor:
        """The prior with sum 1."""
        values = CITYSCAPES_FREQUENCIES if class_prior is None else tuple(class_prior)
        if len(values) != self.out_channels or not all(value > 0 for value in values):
            raise UserInputError(
                f'class_prior must be {self.out_channels} positive numbers, one for each class, got {values}: give the '
                'share of each class in the labels of the source.'
            )
        shares = torch.tensor(values)
        return shares / shares.sum()

    def adaptation_losses(self, source: OutputLevels, target: OutputLevels) -> dict[str, Tensor]:
        """The entropy of every level, the prior if it is on, and the share of the largest class at night."""
        log: dict[str, Tensor] = {}
        for level, weight in self.level_weights.items():
            logits = self.full_logits(target, level)
            log[f'night.{self.part(level)}loss_ent'] = weight * entropy_loss(logits, self.hardest)
            if level == MAIN and self.class_prior is not None:
                prior = class_prior_loss(logits, self.class_prior)
                log['night.loss_prior'] = self.class_prior_weight * prior
        log['night.largest_class'] = largest_class(target.logits[MAIN])
        return log
