"""DANNet: one segmentor for day and night behind a relighting network (Wu et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor, nn

from ...domains import DomainSamples, DomainTensors
from ...errors import UserInputError
from ..component_building import build_discriminator, build_optional
from ..losses.adversarial import adversarial_loss, discriminator_loss, scores_of_constant
from ..losses.light_loss import night_level
from ..precision import autocast_off, full_precision
from .adaptation_segmentor import AdaptationSegmentor
from .diagnostics import light_diagnostics, pseudo_label_diagnostics
from .relit_encoder_decoder import RelitEncoderDecoder

#: Order of the three forward passes, that of the released code. Batch statistics run along, so it is part of the model:
#: at momentum 0.1 the source weighs 0.37, nights 0.33, days 0.30.
_ORDER = ('target_day', 'target_night', 'source_day')

#: Smallest side of an image, that of a patch of the exposure loss, and of a map that the discriminators read.
_SMALLEST_IMAGE, _SMALLEST_MAP = 32, 16


class RelitPass(NamedTuple):
    """One domain's way through both networks.

    Attributes:
        change: r = G(x), ``(B, 3, H, W)``.
        head_inputs: What the decode head reads.
        logits: Its output, ``(B, K, h, w)``.
    """

    change: Tensor
    head_inputs: Sequence[Tensor]
    logits: Tensor


@MODELS.register_module()
class DANNetSegmentor(AdaptationSegmentor):
    r"""A segmentor F behind a relighting network G, both shared by S_d, T_d and T_n, and two discriminators.

    With z = F(x + G(x)), p = softmax z, and D_d and D_n the discriminators of days and nights,

    .. math:: L = L_{seg}(z_S) + \sum_{X} L_{light}(X) + L_{static}(z_{T_n})
        + \lambda \, [\, \overline{D_d(p_{T_d})^2} + \overline{D_n(p_{T_n})^2} \,]

    and each D learns to answer 0 on the source and 1 on its target. All is one sum with one backward pass: where D
    judges its parameters are constants, where it learns the probabilities are. Then all networks step at once, as
    in the released code. G is part of ``night``, so prediction and export have it.

    ``JointOptimWrapperConstructor`` gives ``night`` (F and G) and ``discriminators`` an optimizer each.

    Args:
        segmentor (dict): Config of a ``RelitEncoderDecoder``.
        discriminator (dict): ``DayNightDiscriminator``, built twice, with weights of its own each.
        loss_light (dict): ``LightLoss``.
        loss_pseudo (dict, optional): ``StaticLoss`` between T_d and T_n. Defaults to None, no such loss.
        adversarial_weight (float): λ. Defaults to 0.01.
        target_size (Sequence[int], optional): Height and width of the maps of T_d and T_n in the adversarial and the
            static loss. The released code has that of the crop before it is made smaller, 960. Defaults to None, the
            size of the images.
        diagnostics_interval (int): Iterations between diagnostics of light and pseudo labels; 0: none. Defaults to 50.
        **kwargs: See :class:`AdaptationSegmentor`.

    Raises:
        ValueError: On a segmentor without relighting network, a weight that is not positive, a discriminator of other
            classes, or images or maps that are too small.
    """

    networks = ('night',)
    routes = dict.fromkeys(_ORDER, 'night')
    night: RelitEncoderDecoder

    def __init__(
        self,
        segmentor: ConfigType,
        discriminator: ConfigType,
        loss_light: ConfigType,
        loss_pseudo: OptConfigType = None,
        adversarial_weight: float = 0.01,
        target_size: Sequence[int] | None = None,
        diagnostics_interval: int = 50,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
        if not isinstance(self.night, RelitEncoderDecoder):
            raise UserInputError(
                f'DANNetSegmentor needs a segmentor with a relighting network, got {type(self.night).__name__}: set '
                "model.segmentor.type='RelitEncoderDecoder' and model.segmentor.light_net=dict(type='LightNet')."
            )
        if not adversarial_weight > 0:
            raise UserInputError(
                f'adversarial_weight must be positive, got {adversarial_weight}: for no adaptation train the '
                'source-only config.'
            )
        if target_size is not None and (len(target_size) != 2 or min(target_size) < _SMALLEST_MAP):
            raise UserInputError(
                f'target_size must be a height and a width of at least {_SMALLEST_MAP} pixels, got {target_size}; '
                'None is the size of the images.'
            )
        crop = getattr(self.data_preprocessor, 'size', None)
        if crop is not None and min(crop) < _SMALLEST_IMAGE:
            raise UserInputError(
                f'DANNetSegmentor: model.data_preprocessor.size is {tuple(crop)}, but the light loss compares patches '
                f'of {_SMALLEST_IMAGE} pixels: set it and the crops of the training to that or more.'
            )
        self.discriminators = nn.ModuleDict(
            {
                light: build_discriminator(discriminator, self.out_channels, number)
                for number, light in enumerate(('day', 'night'))
            }
        )
        self.loss_light = MODELS.build(loss_light)
        self.loss_pseudo = build_optional(loss_pseudo)
        self.adversarial_weight = adversarial_weight
        self.target_size = target_size
        self.diagnostics_interval = diagnostics_interval

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """Losses and diagnostics of one iteration.

        Args:
            inputs (dict[str, Tensor]): Normalised images ``(B, 3, H, W)`` of ``source_day``, ``target_day`` and
                ``target_night``.
            data_samples (dict[str, list]): Samples per domain; S_d carries ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: Weighted terms whose keys contain ``loss`` (they sum to the total), and diagnostics.
        """
        diagnose = self.diagnostics_interval > 0 and self.iteration % self.diagnostics_interval == 0
        level = night_level(inputs['target_night'])
        passes = {domain: self.relit_pass(inputs[domain]) for domain in _ORDER}
        log = {
            f'{domain}.loss_light': self.loss_light(domain, inputs[domain], found.change, level)
            for domain, found in passes.items()
        }
        source = passes['source_day']
        labels = self.ground_truth(data_samples['source_day'])
        log |= self.supervised_loss(
            self.night, 'source_day', source.head_inputs, source.logits, labels
        )
        maps = {domain: self.output_map(domain, passes[domain], inputs) for domain in _ORDER}
        day, night = maps['target_day'], maps['target_night']
        if self.loss_pseudo is not None:
            pseudo_labels = self.loss_pseudo.pseudo_labels(day.detach(), night.detach())
            log['target_night.loss_pseudo'] = self.loss_pseudo(night, pseudo_labels)
            if diagnose:
                log |= pseudo_label_diagnostics(pseudo_labels, self.num_classes)
        for light, target in (('day', day), ('night', night)):
            log |= self.adversarial_terms(light, maps['source_day'].softmax(1), target.softmax(1))
        if diagnose:
            changes = {domain: found.change for domain, found in passes.items()}
            log |= light_diagnostics(inputs, changes, level)
        return log

    # The steps of the loss, which a subclass may replace one by one.
    def relit_pass(self, images: Tensor) -> RelitPass:
        """Normalised images ``(B, 3, H, W)`` through G and F."""
        relit, change = self.night.relight(images)
        head_inputs = self.encode(self.night, relit).head_inputs
        return RelitPass(change, head_inputs, self.night.decode_head(head_inputs))

    def output_map(self, domain: str, found: RelitPass, inputs: DomainTensors) -> Tensor:
        """Logits ``(B, K, H, W)`` in full precision: the target's at ``target_size``, others at that of the images."""
        own = self.target_size if domain.startswith('target') else None
        with autocast_off(found.logits):
            logits = full_precision(found.logits)
            return self.upsample(self.night.decode_head, logits, own or inputs[domain].shape[2:])

    def adversarial_terms(self, light: str, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """What F and G have to do with the discriminator of a light, and what it learns itself.

        Args:
            light (str): ``'day'`` or ``'night'``.
            source (Tensor): Class probabilities of S_d, ``(B, K, H, W)``.
            target (Tensor): Those of T_d or T_n, ``(B, K, H', W')``.

        Returns:
            dict[str, Tensor]: Both losses, and the mean score of each domain (0.5 and 0.5: it cannot tell).
        """
        discriminator = self.discriminators[light]
        misled = adversarial_loss(scores_of_constant(discriminator, target))
        on_source, on_target = discriminator(source.detach()), discriminator(target.detach())
        return {
            f'target_{light}.loss_adv': self.adversarial_weight * misled,
            f'discriminators.{light}.loss': discriminator_loss(on_source, on_target),
            f'discriminators.{light}.score_source': on_source.detach().mean(),
            f'discriminators.{light}.score_target': on_target.detach().mean(),
        }
