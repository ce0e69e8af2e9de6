"""AdaptSegNet: adversarial adaptation in the output space (Tsai et al., CVPR 2018), single or multi-level."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from ...errors import UserInputError
from ..component_building import build_discriminator
from ..losses.adversarial import (
    ADVERSARIAL_FORMS,
    adversarial_loss,
    discriminator_loss,
    scores_of_constant,
)
from .output_space_segmentor import OutputLevels, OutputSpaceSegmentor


@MODELS.register_module()
class AdaptSegNetSegmentor(OutputSpaceSegmentor):
    r"""One network on labelled S_d and unlabelled T_n, and a discriminator of its class probabilities at each level.

    .. math:: L_G = L_{seg}(S) + \sum_l \lambda_l \, \ell(D_l(p_{T,l}), 0), \qquad
        L_D = \sum_l \tfrac{1}{2} \ell(D_l(p_{S,l}), 0) + \tfrac{1}{2} \ell(D_l(p_{T,l}), 1)

    The two are one sum with one backward pass: in the first term the discriminator's parameters are constants, in L_D
    the probabilities are. So the network sees the discriminator of before the step and the other way round, as in the
    published order of updates. Source and target are separate forward passes, S first: batch statistics never mix.

    ``JointOptimWrapperConstructor`` gives ``night`` and ``discriminators`` an optimizer each.

    Args:
        segmentor (dict): Config of one ``EncoderDecoder``; see :class:`OutputSpaceSegmentor` for two levels.
        discriminator (dict): ``OutputDiscriminator``, built once for each level; ``in_channels`` is the number of
            classes.
        adversarial_form (str): ``'least_squares'`` or ``'vanilla'``. Defaults to ``'least_squares'``, with which the
            authors' single level is best.
        adversarial_weight (float): λ of the decode head: 0.01 for least squares, 0.001 for vanilla. Defaults to 0.01.
        auxiliary_weight (float, optional): λ of the auxiliary head: 0.002 for least squares, 0.0002 for vanilla.
            Defaults to None, a single level.
        **kwargs: See :class:`AdaptationSegmentor`.

    Raises:
        ValueError: On an unknown form, a weight that is not positive, a discriminator of other classes, or a second
            level without an auxiliary head.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        discriminator: ConfigType,
        adversarial_form: str = 'least_squares',
        adversarial_weight: float = 0.01,
        auxiliary_weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, adversarial_weight, auxiliary_weight, **kwargs)
        if adversarial_form not in ADVERSARIAL_FORMS:
            raise UserInputError(
                f'adversarial_form must be one of {ADVERSARIAL_FORMS}, got {adversarial_form!r}.'
            )
        if not adversarial_weight > 0:
            raise UserInputError(
                f'adversarial_weight must be positive, got {adversarial_weight}: for no adaptation train the '
                'source-only config.'
            )
        self.adversarial_form = adversarial_form
        self.discriminators = nn.ModuleDict(
            {
                level: build_discriminator(discriminator, self.out_channels, number)
                for number, level in enumerate(self.level_weights)
            }
        )

    def adaptation_losses(self, source: OutputLevels, target: OutputLevels) -> dict[str, Tensor]:
        """The adversarial term, the discriminator's own loss and its mean score on each domain, for every level."""
        log: dict[str, Tensor] = {}
        for level, weight in self.level_weights.items():
            discriminator, part = self.discriminators[level], self.part(level)
            map_t = self.seen_map(target, level)
            with torch.no_grad():
                map_s = self.seen_map(source, level)
            misled = scores_of_constant(discriminator, map_t)
            log[f'night.{part}loss_adv'] = weight * adversarial_loss(misled, self.adversarial_form)
            scores = discriminator(map_s), discriminator(map_t.detach())
            log[f'discriminators.{part}loss'] = discriminator_loss(*scores, self.adversarial_form)
            log[f'discriminators.{part}score_source'] = scores[0].detach().mean()
            log[f'discriminators.{part}score_target'] = scores[1].detach().mean()
        return log

    # The steps of the loss, which a subclass may replace one by one.
    def seen_map(self, outputs: OutputLevels, level: str) -> Tensor:
        """What the discriminator sees: class probabilities ``(B, K, H, W)`` at the size of the images."""
        return self.full_logits(outputs, level).softmax(1)
