"""AdaptSegNet: adversarial adaptation in the output space (Tsai et al., CVPR 2018), single level."""

from __future__ import annotations

from typing import Any

from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from ...domains import DomainSamples, DomainTensors
from ...errors import UserInputError
from ..component_building import build_discriminator
from ..losses.adversarial import (
    ADVERSARIAL_FORMS,
    adversarial_loss,
    discriminator_loss,
    scores_of_constant,
)
from ..precision import autocast_off, full_precision
from .adaptation_segmentor import AdaptationSegmentor


@MODELS.register_module()
class AdaptSegNetSegmentor(AdaptationSegmentor):
    r"""One network on labelled S_d and unlabelled T_n, and a discriminator of their class probabilities.

    .. math:: L_G = L_{seg}(S) + \lambda \, \ell(D(p_T), 0), \qquad
        L_D = \tfrac{1}{2} \ell(D(p_S), 0) + \tfrac{1}{2} \ell(D(p_T), 1)

    The two are one sum with one backward pass: in the first term the discriminator's parameters are constants, in L_D
    the probabilities are. So the network sees the discriminator of before the step and the other way round, as in the
    published order of updates. Source and target are separate forward passes, S first: batch statistics never mix.

    ``JointOptimWrapperConstructor`` gives ``night`` and ``discriminators`` an optimizer each.

    Args:
        segmentor (dict): Config of one ``EncoderDecoder``.
        discriminator (dict): ``OutputDiscriminator``; ``in_channels`` is the number of classes.
        adversarial_form (str): ``'least_squares'`` or ``'vanilla'``. Defaults to ``'least_squares'``, with which the
            authors' single level is best.
        adversarial_weight (float): λ: 0.01 for least squares, 0.001 for vanilla. Defaults to 0.01.
        **kwargs: See :class:`AdaptationSegmentor`.

    Raises:
        ValueError: On an unknown form, a weight that is not positive, or a discriminator of other classes.
    """

    networks = ('night',)
    routes = {'source_day': 'night', 'target_night': 'night'}

    def __init__(
        self,
        segmentor: ConfigType,
        discriminator: ConfigType,
        adversarial_form: str = 'least_squares',
        adversarial_weight: float = 0.01,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
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
        self.adversarial_weight = adversarial_weight
        self.discriminators = nn.ModuleDict(
            {'main': build_discriminator(discriminator, self.out_channels)}
        )

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """Losses and diagnostics of one iteration.

        Args:
            inputs (dict[str, Tensor]): Normalised images ``(B, 3, H, W)`` of ``source_day`` and ``target_night``.
            data_samples (dict[str, list]): Samples per domain; S_d carries ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: Weighted terms whose keys contain ``loss`` (they sum to the total), and the mean score of
            each domain.
        """
        log: dict[str, Tensor] = {}
        probabilities = {}
        for domain in ('source_day', 'target_night'):
            maps = self.encode(self.night, inputs[domain])
            logits = self.night.decode_head(maps.head_inputs)
            probabilities[domain] = self.probabilities(logits, inputs[domain])
            if domain == 'source_day':
                labels = self.ground_truth(data_samples[domain])
                log |= self.supervised_loss(self.night, domain, maps.head_inputs, logits, labels)
        discriminator = self.discriminators['main']
        misled = scores_of_constant(discriminator, probabilities['target_night'])
        log['night.loss_adv'] = self.adversarial_weight * adversarial_loss(
            misled, self.adversarial_form
        )
        source, target = (discriminator(p.detach()) for p in probabilities.values())
        log['discriminators.loss'] = discriminator_loss(source, target, self.adversarial_form)
        log['discriminators.score_source'] = source.detach().mean()
        log['discriminators.score_target'] = target.detach().mean()
        return log

    # The steps of the loss, which a subclass may replace one by one.
    def probabilities(self, logits: Tensor, images: Tensor) -> Tensor:
        """What the discriminator sees: class probabilities ``(B, K, H, W)`` at the size of the images."""
        with autocast_off(logits):
            size = images.shape[2:]
            return self.upsample(self.night.decode_head, full_precision(logits), size).softmax(1)
