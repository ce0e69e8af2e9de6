"""CCDistill: cross-domain correlation distillation (Gao et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType
from torch import Tensor, nn

from ...domains import DOMAINS, DomainSamples, DomainTensors
from ...errors import UserInputError
from ..component_building import build_optional
from ..early_backward import early_backward, head_weights
from ..precision import autocast_off, full_precision
from .adaptation_segmentor import DomainMaps
from .batched_decoder import check_batched_decoder, decode_together
from .cross_domain_segmentor import CrossDomainSegmentor
from .diagnostics import correlation_diagnostics, pseudo_label_diagnostics, style_diagnostics
from .features import backbone_index, feature_channels, head_feature
from .projection_heads import build_projection_heads, check_every_head_learns

#: Order of the forward passes, which is also that of dropout's random numbers.
_PASSES = ('source_day', 'target_day', 'source_night', 'target_night')


@MODELS.register_module()
class CCDistillSegmentor(CrossDomainSegmentor):
    r"""M_d and M_n with content and style correlation distillation.

    .. math:: L = L_{seg}^d + L_{seg}^n + L_{pseudo} + \lambda_1 L_{CDC} + \lambda_2 L_{CDS}

    (Eq. 8 of the paper.) M_d sees S_d and T_d, M_n sees S_n and T_n, each domain in a forward pass of its own, so
    that batch normalisation never mixes source and target. Pseudo labels of T_n are M_d's detached predictions on
    T_d. With a backbone feature, M_d's decoder has no gradient on T_d and runs without a graph.

    Args:
        segmentor (dict): Config of one ``EncoderDecoder``, built as ``day`` and ``night``.
        projection_head (dict, optional): ``ProjectionHead`` shared by both branches. None with ``loss_cdc`` on:
            embeddings are the normalised features themselves (Table 3, "w/o project head"). Defaults to None.
        share_projection_head (bool): One head for both branches, as the paper's "common embedding space" asks.
            False: one head per branch, equal at the start. Defaults to True.
        feature (str): F_D: ``'backbone.<index>'`` (raw map, before neck and dropout) or ``'decode_head'``.
            Defaults to ``'backbone.-1'``.
        loss_cdc (dict, optional): ``CDCLoss``. None: off, and the projection head is not built. Defaults to None.
        loss_cds (dict, optional): ``CDSLoss``. None: off. Defaults to None.
        loss_pseudo (dict, optional): ``StaticLoss``. None: off. Defaults to None.
        distill_into (str): ``'both'``: L_CDC and L_CDS train both branches, as Eq. 8 reads. ``'night'``: the day
            features are constants in them, so they train M_n and the head alone, and M_d's pass on T_d needs no
            graph. ``'target_night'``: the features of S_n are constants, too: S guides T. Defaults to ``'both'``.
        teacher_mode (str): ``'train'``: pseudo labels come from the training forward (dropout and batch statistics,
            as in DANNet). ``'eval'``: from an extra pass in evaluation mode. Defaults to ``'train'``.
        early_decoder_backward (bool): The losses of a decoder run their backward pass as soon as it is done, so that
            one decoder's maps are kept at a time, see :mod:`early_backward`. Defaults to False.
        batch_night_decoder (bool): M_n's decoder sees S_n and T_n in one pass, see :mod:`batched_decoder`. Defaults
            to False.
        diagnostics_interval (int): Iterations between the logged diagnostics; 0 turns them off. Defaults to 50.
        self_training (dict, optional): ``SelfTraining``, beyond the paper: it takes over from L_pseudo, or stands
            beside it. None: off. Defaults to None.
        **kwargs: See :class:`CrossDomainSegmentor`.

    Raises:
        ValueError: On an unknown mode or feature, if ``projection_head.in_channels`` does not fit the feature, if
            decoders shall go backward early or be batched and cannot, or if a branch has a head of its own that no
            term teaches.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        projection_head: OptConfigType = None,
        share_projection_head: bool = True,
        feature: str = 'backbone.-1',
        loss_cdc: OptConfigType = None,
        loss_cds: OptConfigType = None,
        loss_pseudo: OptConfigType = None,
        distill_into: str = 'both',
        teacher_mode: str = 'train',
        early_decoder_backward: bool = False,
        batch_night_decoder: bool = False,
        diagnostics_interval: int = 50,
        self_training: OptConfigType = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
        for name, value, allowed in (
            ('distill_into', distill_into, ('both', 'night', 'target_night')),
            ('teacher_mode', teacher_mode, ('train', 'eval')),
        ):
            if value not in allowed:
                raise UserInputError(f'{name} must be one of {allowed}, got {value!r}.')
        self.feature = feature
        self.feature_index = backbone_index(feature)
        self.distill_into = distill_into
        self.teacher_mode = teacher_mode
        if early_decoder_backward and self.feature_index is None:
            raise UserInputError(
                "early_decoder_backward=True needs feature='backbone.<index>': with feature='decode_head' other terms "
                'read the maps of the decoders, which cannot be freed early; leave it out, or save memory with '
                'model.recompute.'
            )
        self.early_decoder_backward = early_decoder_backward
        if batch_night_decoder:
            head = self.night.decode_head
            check_batched_decoder(head, feature, early_decoder_backward, loss_pseudo is not None)
        self.batch_night_decoder = batch_night_decoder
        self.diagnostics_interval = diagnostics_interval
        crop = getattr(self.data_preprocessor, 'size', None)
        if loss_cdc is not None and projection_head is not None:
            channels = feature_channels(self.day, feature, crop)
            if projection_head.get('in_channels', channels) != channels:
                raise UserInputError(
                    f'feature={feature!r} has {channels} channels: set model.projection_head.in_channels={channels} '
                    f'(it is {projection_head["in_channels"]}).'
                )
        elif loss_cdc is not None or loss_cds is not None:
            feature_channels(self.day, feature, crop)
        self.share_projection_head = share_projection_head
        self.projection_head = build_projection_heads(
            projection_head if loss_cdc is not None else None, share_projection_head, self.networks
        )
        self.loss_cdc = build_optional(loss_cdc)
        self.loss_cds = build_optional(loss_cds)
        self.loss_pseudo = build_optional(loss_pseudo)
        self.self_training = build_optional(self_training)
        if self.self_training is not None:
            self.self_training.attach(self.branches, self.loss_pseudo is not None)
        taught = getattr(self.loss_cdc, 'taught_domains', None)
        check_every_head_learns(self.projection_head, taught, self.routes, self.networks)

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that some term reads: the target only if a term is on that does."""
        reads_target = self.distills or self.loss_pseudo is not None
        extra = () if self.self_training is None else self.self_training.domains
        return tuple(d for d in DOMAINS if d.startswith('source') or reads_target or d in extra)

    @property
    def branches(self) -> dict[str, EncoderDecoder]:
        """The two networks by name."""
        return {name: self.network(name) for name in self.networks}

    @property
    def pseudo_share(self) -> float:
        """Weight of L_pseudo: 1, or what self-training leaves of it."""
        if self.loss_pseudo is None:
            return 0.0
        return 1.0 if self.self_training is None else self.self_training.pseudo_share

    def set_iteration(self, iteration: int, max_iters: int) -> None:
        """See :meth:`AdaptationSegmentor.set_iteration`."""
        super().set_iteration(iteration, max_iters)
        if self.self_training is not None:
            self.self_training.set_iteration(iteration, max_iters)

    @property
    def distills(self) -> bool:
        """Whether a term needs F_D of all four domains."""
        return self.loss_cdc is not None or self.loss_cds is not None

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """Losses and diagnostics of one iteration.

        Args:
            inputs (dict[str, Tensor]): Normalised images ``(B, 3, H, W)`` per domain.
            data_samples (dict[str, list]): Samples per domain; S_d and S_n carry ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: Weighted terms whose keys contain ``loss`` (they sum to the total), and diagnostics.
        """
        diagnose = self.diagnostics_interval > 0 and self.iteration % self.diagnostics_interval == 0
        if self.self_training is not None:
            self.self_training.update(self.branches)
        maps = self.domain_maps(inputs)
        features = self.domain_features(maps)
        log: dict[str, Tensor] = {}
        for domain in ('source_day', 'source_night'):
            labels = self.ground_truth(data_samples[domain])
            losses = partial(self.labelled_losses, domain, features, labels)
            log.update(self.decoder_losses(domain, maps, losses))
        if self.loss_pseudo is not None and self.pseudo_share > 0:
            losses = partial(self.pseudo_losses, inputs, features, diagnose)
            log.update(self.decoder_losses('target_night', maps, losses))
        elif self.loss_pseudo is not None:  # handed over; the log shall not show its last value on
            log['target_night.loss_pseudo'] = inputs['target_night'].new_zeros(())
        distilled = self.distilled_features(features)
        if self.loss_cds is not None:
            log.update(_cross_terms(self.loss_cds(distilled)))
            if diagnose:
                log.update(style_diagnostics(self.loss_cds.gram_correlations(distilled)))
        if self.loss_cdc is not None:
            embeddings = self.embeddings(distilled)
            log.update(_cross_terms(self.loss_cdc(embeddings)))
            if diagnose:
                log.update(correlation_diagnostics(embeddings))
        if self.self_training is not None:
            log.update(self.self_training_losses(inputs, data_samples))
        return log

    # The steps of the loss, which a subclass may replace one by one.
    def domain_maps(self, inputs: DomainTensors) -> dict[str, DomainMaps]:
        """Maps of every domain that a term reads, each from a forward pass of its own: S_d, T_d, S_n, T_n.

        Args:
            inputs: Normalised images ``(B, 3, H, W)`` per domain.

        Returns:
            Maps by domain. T_d has a graph only if it is distilled in both directions.
        """
        maps = {}
        for domain in _PASSES:
            if not self._is_encoded(domain):
                continue
            needs_graph = domain != 'target_day' or (self.distills and self.distill_into == 'both')
            with torch.set_grad_enabled(torch.is_grad_enabled() and needs_graph):
                maps[domain] = self.encode(self.branch_of(domain), inputs[domain])
        if self.batch_night_decoder and self.pseudo_share > 0:
            nights = {d: m for d, m in maps.items() if d in ('source_night', 'target_night')}
            maps.update(decode_together(self.night.decode_head, nights))
        return maps

    def _is_encoded(self, domain: str) -> bool:
        """Whether a term reads the maps of a domain in this iteration."""
        if domain.startswith('source') or self.distills:
            return True
        if domain == 'target_day' and self.teacher_mode == 'eval':
            return False  # the teacher makes a pass of its own
        return self.pseudo_share > 0

    def domain_features(self, maps: dict[str, DomainMaps]) -> DomainTensors:
        """F_D of all domains, ``(B, C, h, w)`` each; none if no term compares them."""
        if not self.distills:
            return {}
        return {domain: self._feature(domain, maps[domain]) for domain in DOMAINS}

    def _feature(self, domain: str, maps: DomainMaps) -> Tensor:
        if self.feature_index is None:
            return head_feature(self.branch_of(domain).decode_head, maps.head_inputs)
        return maps.backbone[self.feature_index]

    def domain_logits(
        self, domain: str, maps: dict[str, DomainMaps], features: DomainTensors
    ) -> Tensor:
        """Logits ``(B, K, h, w)`` of one domain at the head's resolution; goes on from F_D if that is the head's."""
        ready = maps[domain].logits
        if ready is not None:
            return ready
        head = self.branch_of(domain).decode_head
        if self.feature_index is None and domain in features:
            return head.cls_seg(features[domain])
        return head(maps[domain].head_inputs)

    def decoder_losses(
        self,
        domain: str,
        maps: dict[str, DomainMaps],
        losses: Callable[[dict[str, DomainMaps]], dict[str, Tensor]],
    ) -> dict[str, Tensor]:
        """Losses of the heads of one domain, a function of the maps; their backward pass at once if it is early."""
        if not self.early_decoder_backward:
            return losses(maps)
        own = maps[domain]
        return early_backward(
            lambda leaves: losses({**maps, domain: own._replace(head_inputs=leaves)}),
            own.head_inputs,
            head_weights(self.branch_of(domain)),
        )

    def labelled_losses(
        self, domain: str, features: DomainTensors, labels: Tensor, maps: dict[str, DomainMaps]
    ) -> dict[str, Tensor]:
        """L_seg of S_d or S_n with its labels ``(B, H, W)``."""
        logits = self.domain_logits(domain, maps, features)
        branch, head_inputs = self.branch_of(domain), maps[domain].head_inputs
        return self.supervised_loss(branch, domain, head_inputs, logits, labels)

    def pseudo_losses(
        self,
        inputs: DomainTensors,
        features: DomainTensors,
        diagnose: bool,
        maps: dict[str, DomainMaps],
    ) -> dict[str, Tensor]:
        """L_pseudo of T_n, and the diagnostics of its labels if it is their turn."""
        logits = self.domain_logits('target_night', maps, features)
        teacher = self.teacher_logits(inputs, maps, features)

        def losses(small: list[Tensor]) -> dict[str, Tensor]:
            student = self.upsample(self.night.decode_head, small[0], teacher.shape[2:])
            labels = self.pseudo_labels(teacher, student)
            shares = pseudo_label_diagnostics(labels, self.num_classes) if diagnose else {}
            return {**self.night_losses(student, labels), **shares}

        return early_backward(losses, [logits])

    def night_losses(self, student: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """L_pseudo of M_n(T_n).

        Every term of these logits belongs in here. Their backward pass is over when this returns: a term made of them
        later would teach nothing.

        Args:
            student: M_n(T_n), ``(B, K, H, W)``.
            labels: Pseudo labels, ``(B, H, W)`` int64.
        """
        assert self.loss_pseudo is not None
        return {'target_night.loss_pseudo': self.pseudo_share * self.loss_pseudo(student, labels)}

    @torch.no_grad()
    def teacher_logits(
        self, inputs: DomainTensors, maps: dict[str, DomainMaps], features: DomainTensors
    ) -> Tensor:
        """M_d(T_d), ``(B, K, H, W)`` at the size of T_n, without a graph: where the pseudo labels come from."""
        if self.teacher_mode == 'eval':
            logits = self._evaluated_day_logits(inputs['target_day'])
        else:
            logits = self.domain_logits('target_day', maps, features)
        return self.upsample(self.day.decode_head, logits, inputs['target_night'].shape[2:])

    def _evaluated_day_logits(self, images: Tensor) -> Tensor:
        """M_d's logits in evaluation mode, the modules' modes restored afterwards."""
        modes = {module: module.training for module in self.day.modules()}
        self.day.eval()
        logits = self.day.decode_head(self.encode(self.day, images).head_inputs)
        for module, training in modes.items():
            module.training = training
        return logits

    @torch.no_grad()
    def pseudo_labels(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Labels ``(B, H, W)`` int64 of T_n from the logits of teacher and student, without a graph."""
        assert self.loss_pseudo is not None
        return self.loss_pseudo.pseudo_labels(teacher, student)

    def self_training_losses(
        self, inputs: DomainTensors, data_samples: DomainSamples
    ) -> dict[str, Tensor]:
        """L_mix and what goes with it, see :class:`SelfTraining`; nothing before its start."""
        assert self.self_training is not None
        labels = {
            domain: self.ground_truth(data_samples[domain])
            for domain in ('source_day', 'source_night')
        }
        return self.self_training.losses(
            self.branches, inputs, data_samples, labels, self.normalisation
        )

    @property
    def normalisation(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the images' normalisation, ``(3, 1, 1)`` each."""
        mean = getattr(self.data_preprocessor, 'mean', None)
        if mean is None:
            here = next(self.night.parameters())
            return here.new_zeros(3, 1, 1), here.new_ones(3, 1, 1)
        return mean, self.data_preprocessor.std

    def distilled_features(self, features: DomainTensors) -> DomainTensors:
        """F_D as the terms between domains see it: constants where ``distill_into`` says so."""
        if self.distill_into == 'both':
            return features
        return {
            domain: feature if domain.endswith(self.distill_into) else feature.detach()
            for domain, feature in features.items()
        }

    def embeddings(self, features: DomainTensors) -> DomainTensors:
        """e_D: unit vectors ``(B, 256, h, w)`` in fp32 (or the normalised features if there is no head)."""
        return {domain: self._embed(domain, features[domain]) for domain in DOMAINS}

    def _embed(self, domain: str, feature: Tensor) -> Tensor:
        head = self.projection_head
        if isinstance(head, nn.ModuleDict):
            head = head[self.routes[domain]]
        if head is not None:
            return head(feature)
        with autocast_off(feature):
            return nn.functional.normalize(full_precision(feature), dim=1, eps=1e-6)


def _cross_terms(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    """Terms between domains under their names in the log."""
    return {f'cross.{key}': value for key, value in terms.items()}
