"""Self-training: networks learn from what their own lagging averages say about the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor, nn

from ...domains import DomainSamples, DomainTensors
from ..early_backward import early_backward
from ..losses.class_weights import CITYSCAPES_CLASSES, ClassWeight
from ..losses.content_correlation import match_parallax
from ..losses.static_classes import STATIC_CLASSES, static_class_ids
from ..losses.weighted_cross_entropy import WeightedCrossEntropyLoss
from ..precision import autocast_off, full_precision
from ..segmentors.ema_teacher import EMATeacher
from ..segmentors.frozen_network import freeze
from ..segmentors.shared_backbone import copy_around_frozen_child
from .changed_look import change_look
from .day_night_fusion import confident_fusion, refined_fusion
from .hand_over import HandOver
from .labelled_batches import LabelledBatch, drawn, hide, mix
from .settings import (
    NETWORKS,
    check_head,
    check_kept,
    check_names,
    check_numbers,
    check_numbers_of_classes,
    check_read,
    check_sizes,
    check_weight,
)

#: Static classes that are too thin for an image pair to agree on; the rest is large (Refign's code).
THIN_CLASSES = ('pole', 'traffic light', 'traffic sign')


@MODELS.register_module()
class SelfTraining(nn.Module):
    r"""L_mix of M_n on T_n, of M_d on T_d, or of both.

    An EMA teacher of each network labels the target; for T_n, that of M_d on the day image of the pair has a say too,
    after each night cell has looked for the day cell that agrees best with it. Then classes of the labelled source
    image of the same light (S_n for T_n, S_d for T_d) are pasted into the target image, their labels likewise:

    .. math:: L_{mix} = \frac{1}{B H W} \sum_i q_i \, (-\ln p_{i, y_i})

    over all classes and all pixels; q is 1 on what was pasted and the weight of the pseudo label elsewhere. Teachers
    are constants, and no loss of one network reaches the other. It is not part of the paper; ``docs/beyond.md`` says
    what each part is taken from.

    ``DrawMixing`` draws the random numbers with the sample. The teachers are in a checkpoint, but no optimizer and no
    export has them.

    Args:
        learners (Sequence[str]): Networks that learn so: ``'night'``, ``'day'``. Defaults to ``('night',)``.
        lag (int | float): How far the teachers are behind, see :class:`EMATeacher`. Defaults to 0.03.
        start (int | float): When it begins, in iterations or as a share of the run. Defaults to 0.15.
        ramp (int | float): How long its weight takes to reach 1, the same. That of L_pseudo falls by as much where M_n
            learns so. Defaults to 0.15.
        keep_pseudo (bool): Whether L_pseudo keeps its weight of 1. Defaults to False.
        fusion (str, optional): One of ``settings.FUSIONS``. Defaults to None, ``'mgcda'``.
        parallax (int, optional): Radius in cells of the teacher's map in which the day is searched, see
            ``match_parallax``. Defaults to None, 1.
        paste (str): One of ``class_mix.PASTES``; things are what is not static. None: nothing is pasted. Defaults to
            ``'half'``.
        weight (dict, optional): Settings of ``PseudoLabelWeight``; each learner has its own. None: that with
            class-wise quantiles. Defaults to None.
        pseudo_weight (float): Factor of q on the target; 0: the pastes alone. Defaults to 1.0.
        augment (bool): Whether the mixed image changes its look (jitter, blur). Defaults to False.
        masked_ratio (float, optional): Share of patches that are hidden in one more pass (MIC, ``separate``): even
            images of the batch are the source with its labels, odd ones the target. None: no such pass. Defaults to
            None.
        loss_weight (float): Of L_mix and of the masked loss. Defaults to 1.0.
        class_weight (str | Sequence[float], optional): As of ``WeightedCrossEntropyLoss``. Defaults to None.
        static_classes (Sequence[str] | Sequence[int]): Classes that stay in place, by name or id. Defaults to
            :data:`STATIC_CLASSES`.
        classes (Sequence[str]): Names of the classes in the order of their ids. Defaults to the 19 of Cityscapes.
        ignore_index (int): Label of pixels without a class, that of the decode head. Defaults to 255.

    Raises:
        UserInputError: On an unknown name, a number out of its range, a setting that nothing reads, or settings of
            other numbers of classes.
    """

    things: Tensor
    large_static: Tensor

    def __init__(
        self,
        learners: Sequence[str] = ('night',),
        lag: int | float = 0.03,
        start: int | float = 0.15,
        ramp: int | float = 0.15,
        keep_pseudo: bool = False,
        fusion: str | None = None,
        parallax: int | None = None,
        paste: str | None = 'half',
        weight: ConfigType | None = None,
        pseudo_weight: float = 1.0,
        augment: bool = False,
        masked_ratio: float | None = None,
        loss_weight: float = 1.0,
        class_weight: ClassWeight = None,
        static_classes: Sequence[str] | Sequence[int] = STATIC_CLASSES,
        classes: Sequence[str] = CITYSCAPES_CLASSES,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        check_names(learners, fusion, paste)
        check_numbers(parallax, pseudo_weight, masked_ratio, loss_weight)
        check_read(learners, fusion, parallax, keep_pseudo, paste, pseudo_weight, masked_ratio)
        check_weight(weight)
        self.learners = tuple(name for name in NETWORKS if name in learners)
        self.hand_over = HandOver(start, ramp)
        self.keep_pseudo = keep_pseudo
        self.fusion = 'mgcda' if fusion is None else fusion
        self.parallax = 1 if parallax is None else parallax
        self.paste = paste
        self.pseudo_weight = pseudo_weight
        self.augment = augment
        self.masked_ratio = masked_ratio
        self.classes = tuple(classes)
        weight = {'type': 'PseudoLabelWeight', 'num_classes': len(classes), **(weight or {})}
        check_numbers_of_classes(len(classes), weight['num_classes'], class_weight)
        self.weights = nn.ModuleDict({name: MODELS.build(dict(weight)) for name in self.learners})
        self.emas = nn.ModuleDict({name: EMATeacher(lag) for name in self.taught_by})
        self.teachers = nn.ModuleDict()
        static = static_class_ids(static_classes, len(classes), classes, 'SelfTraining')
        things = [k not in static for k in range(len(classes))]
        large = [k in static and name not in THIN_CLASSES for k, name in enumerate(classes)]
        # Not persistent: they follow from the settings.
        self.register_buffer('things', torch.tensor(things), persistent=False)
        self.register_buffer('large_static', torch.tensor(large), persistent=False)
        self.loss = WeightedCrossEntropyLoss(
            class_weight, loss_weight, ignore_index, classes=classes
        )

    @property
    def taught_by(self) -> tuple[str, ...]:
        """Networks that have a teacher."""
        sides = {side for learner in self.learners for side in self.sides(learner)}
        return tuple(name for name in NETWORKS if name in sides)

    def sides(self, learner: str) -> tuple[str, ...]:
        """Teachers whose opinion a learner hears."""
        if learner == 'day' or self.fusion in ('mgcda', 'refign'):
            return ('day',) if learner == 'day' else NETWORKS
        return (self.fusion,)

    @property
    def domains(self) -> set[str]:
        """What it reads."""
        sources = {f'source_{name}' for name in self.learners}
        return sources | {f'target_{name}' for name in {*self.learners, *self.taught_by}}

    @property
    def draws(self) -> tuple[str, ...]:
        """Fields of the target's samples that it reads: random numbers of ``DrawMixing``."""
        needs = dict(
            mix_classes=self.paste is not None,
            mix_look=self.augment,
            mix_patches=self.masked_ratio is not None,
        )
        return tuple(name for name, is_read in needs.items() if is_read)

    def attach(self, networks: Mapping[str, EncoderDecoder], has_pseudo: bool = True) -> None:
        """Build the teachers: frozen copies of their students, which the first update fills.

        A part of a backbone that is never trained is not copied: teacher and student have it in common.

        Args:
            networks: The students by name.
            has_pseudo: Whether the method has L_pseudo. Defaults to True.

        Raises:
            UserInputError: If they have another number of classes, or ignore another label, or if L_pseudo is kept and
                not there.
        """
        check_kept(self.keep_pseudo, has_pseudo)
        for name in self.taught_by:
            check_head(networks[name].decode_head, len(self.classes), self.loss.ignore_index)
            teacher = copy_around_frozen_child(networks[name])
            freeze(teacher)
            teacher.eval()
            self.teachers[name] = teacher

    def teacher(self, name: str) -> EncoderDecoder:
        """The teacher of a network."""
        return self.teachers[name]

    def train(self, mode: bool = True) -> SelfTraining:
        """Training or evaluation mode for all but the teachers, which stay in evaluation mode."""
        super().train(mode)
        for teacher in self.teachers.values():
            teacher.eval()
        return self

    def set_iteration(self, iteration: int, max_iters: int) -> None:
        """Hear where the run is.

        Args:
            iteration (int): From 0 on.
            max_iters (int): Iterations of the whole run.
        """
        self.hand_over.set_iteration(iteration, max_iters)
        for ema in self.emas.values():
            cast(EMATeacher, ema).set_length(max_iters)

    def update(self, networks: Mapping[str, EncoderDecoder]) -> None:
        """Move the teachers; once an iteration, before anything else.

        Args:
            networks (Mapping): The students by name.
        """
        for name, teacher in self.teachers.items():
            cast(EMATeacher, self.emas[name]).update(networks[name], teacher)

    @property
    def pseudo_share(self) -> float:
        """Weight that is left for L_pseudo, from 1 to 0."""
        if self.keep_pseudo or 'night' not in self.learners:
            return 1.0
        return 1.0 - self.hand_over.share

    def losses(
        self,
        networks: Mapping[str, EncoderDecoder],
        inputs: DomainTensors,
        samples: DomainSamples,
        labels: DomainTensors,
        scaling: tuple[Tensor, Tensor],
    ) -> dict[str, Tensor]:
        """The terms of all learners; none before the start.

        Args:
            networks (Mapping): The students by name.
            inputs (dict[str, Tensor]): Normalised images ``(B, 3, H, W)`` by domain.
            samples (dict[str, list]): Samples by domain; those of the targets carry the draws of ``DrawMixing``.
            labels (dict[str, Tensor]): Labels of the source domains, ``(B, H, W)`` int64.
            scaling (tuple): Mean and standard deviation of the normalisation, ``(3, 1, 1)`` each.

        Returns:
            dict[str, Tensor]: ``<learner>.loss_mix``, ``<learner>.loss_masked`` if there is a masked pass, and the
            diagnostics ``<learner>.mix_confidence`` (mean largest probability of what the teachers say together, on the
            cells of their maps), ``<learner>.mix_weight`` (mean q), ``<learner>.mix_things`` (share of T with a thing
            for label) and ``<learner>.mix_source_things`` (share of the labelled pixels of S that are things).
        """
        share = self.hand_over.share
        log: dict[str, Tensor] = {}
        for name in self.learners:
            check_sizes(name, inputs[f'source_{name}'], inputs[f'target_{name}'])
        if share == 0:
            return log
        opinions = {side: self.opinion(side, inputs) for side in self.taught_by}
        for name in self.learners:
            source, target = inputs[f'source_{name}'], inputs[f'target_{name}']
            true, draws = labels[f'source_{name}'], samples[f'target_{name}']
            p = self.probabilities(name, opinions)
            pseudo, q = self.pseudo_labels(name, p, target.shape[2:])
            log[f'{name}.mix_confidence'] = p.amax(1).mean()
            log[f'{name}.mix_weight'] = q.mean()
            log[f'{name}.mix_things'] = self._share_of_things(pseudo)
            log[f'{name}.mix_source_things'] = self._share_of_things(true)
            labelled = LabelledBatch(source, true, torch.ones_like(q))
            unlabelled = LabelledBatch(target, pseudo, self.pseudo_weight * q)
            mixed = unlabelled
            if self.paste is not None:
                mixed = mix(labelled, unlabelled, draws, self.paste, self.things)
            if self.augment:
                look = change_look(mixed.images, drawn(draws, 'mix_look'), *scaling)
                mixed = mixed._replace(images=look)
            log[f'{name}.loss_mix'] = self.cross_entropy(networks[name], mixed, share)
            if self.masked_ratio is not None:
                hidden = hide(labelled, unlabelled, draws, self.masked_ratio)
                log[f'{name}.loss_masked'] = self.cross_entropy(networks[name], hidden, share)
        return log

    @torch.no_grad()
    def _share_of_things(self, labels: Tensor) -> Tensor:
        """Share of the things in the labelled pixels of ``(B, H, W)`` int64 labels; 0 where there are none."""
        known = (labels >= 0) & (labels < len(self.things))
        things = self.things[labels.clamp(0, len(self.things) - 1)] & known
        return things.sum() / known.sum().clamp_min(1)

    @torch.no_grad()
    def opinion(self, side: str, inputs: DomainTensors) -> Tensor:
        """What one teacher says of its target: probabilities ``(B, K, h, w)`` float32 at the resolution of its head."""
        teacher = self.teacher(side)
        logits = teacher.decode_head(teacher.extract_feat(inputs[f'target_{side}']))
        with autocast_off(logits):
            return full_precision(logits).softmax(1)

    @torch.no_grad()
    def pseudo_labels(self, learner: str, p: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Labels ``(B, H, W)`` int64 of a learner's target, and their weights ``(B, H, W)``.

        Args:
            learner (str): Name of the learner.
            p (Tensor): What its teachers say together, ``(B, K, h, w)``: see :meth:`probabilities`. It is upsampled,
                bilinear.
            size (Sequence[int]): H and W.
        """
        head = self.teacher(self.sides(learner)[0]).decode_head
        p = resize(p, size=tuple(size), mode='bilinear', align_corners=head.align_corners)
        return self.weights[learner](p)

    @torch.no_grad()
    def probabilities(self, learner: str, opinions: Mapping[str, Tensor]) -> Tensor:
        """What the teachers of a learner say together, ``(B, K, h, w)``, from the opinion of each; it sums to 1.

        They are fused on the cells of their heads' maps.
        """
        sides = self.sides(learner)
        if len(sides) == 1:
            return opinions[sides[0]]
        night = opinions['night']
        # The product of two distributions is the probability that they agree.
        day = match_parallax(opinions['day'], night, self.parallax)
        if self.fusion == 'mgcda':
            return confident_fusion(night, day, self.things)
        return refined_fusion(night, day, self.large_static)

    def cross_entropy(self, network: EncoderDecoder, batch: LabelledBatch, share: float) -> Tensor:
        """A share of the weighted cross-entropy of a student: the mean over all pixels, so the weights do not cancel.

        No other term has anything of this pass, so its backward pass is over when this returns, and its maps are freed.
        """
        head = network.decode_head

        def losses(_: list[Tensor]) -> dict[str, Tensor]:
            logits = resize(
                head(network.extract_feat(batch.images)),
                size=batch.labels.shape[1:],
                mode='bilinear',
                align_corners=head.align_corners,
            )
            pixels = self.loss(logits, batch.labels, batch.weights, reduction_override='none')
            return {'loss': share * pixels.mean()}

        return early_backward(losses, [], network.parameters())['loss']
