"""Base class of adaptation methods: any number of networks, each trained on the domains that it sees."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType, OptMultiConfig, OptSampleList, SampleList
from torch import Tensor, nn

from ...domains import DomainSamples, DomainTensors
from ...errors import UserInputError
from ..data_preprocessors.cross_domain_preprocessor import check_preprocessors_agree
from ..early_backward import early_backward
from ..losses.class_weights import CITYSCAPES_FREQUENCIES, class_balance_weights
from ..recomputation import recompute as recompute_maps
from .checkpoint_routing import route_checkpoint
from .ema_teacher import EMATeacher
from .frozen_network import freeze
from .logits_map import check_logits_map
from .network_names import check_network_name, check_networks
from .shared_backbone import check_shared_weights, frozen_child, share_frozen_child


class DomainMaps(NamedTuple):
    """Feature maps of one domain.

    Attributes:
        backbone: Raw maps of the backbone, ``(B, C_i, h_i, w_i)``.
        head_inputs: What the decode head reads: the neck's output, or the same maps.
        logits: What it made of them, ``(B, K, h, w)``, if it has been asked already.
    """

    backbone: Sequence[Tensor]
    head_inputs: Sequence[Tensor]
    logits: Tensor | None = None


class AdaptationSegmentor(BaseSegmentor):
    """Networks of one architecture, built from one config, that a method trains on several domains.

    A method is a subclass: it names its networks in the class attributes and writes :meth:`loss`. Prediction,
    test-time augmentation, checkpoint routing and export are common. All networks start from equal weights and
    share none, unless ``share_backbone`` says so. What is no such network (a discriminator, a projection head, a
    network of another architecture) is an ordinary child that the method builds; it is saved and resumed with the
    rest, and left out of an export.

    Attributes:
        networks: Names of the children that are built from ``segmentor``. The first is initialised, the others get
            its weights.
        routes: The network that sees a domain, by domain.
        frozen: Names of networks that are not trained: their weights are buffers, so no optimizer holds them, they
            stay in evaluation mode, a checkpoint holds them and an export does not.
        domains: What the method reads: the domains that a training batch must hold.

    Args:
        segmentor (dict): Config of one ``EncoderDecoder``; it is built once for each network. Its own
            ``data_preprocessor`` is not used here: one that normalises otherwise is refused.
        predict_with (str): Network that answers ``predict`` and ``tensor`` calls. Defaults to ``'night'``.
        test_reweight_std (float, optional): Multiply the logits of ``predict`` by ``class_balance_weights`` of
            Cityscapes' frequencies with this spread. DANNet tests with 0.16, chosen on its validation set; the
            paper makes no change at test time. Defaults to None.
        share_backbone (bool): All networks have the frozen part of one backbone in common (the ``vit`` of a
            ``ReinVisionTransformer``) and differ in the rest. Memory and checkpoint hold it once; an export is
            complete. Defaults to False.
        recompute (Sequence[str]): Names of module classes of the networks, e.g. ``'Bottleneck'``, whose maps are
            computed again for the backward pass instead of kept, see :mod:`recomputation`. Defaults to none.
        data_preprocessor (dict, optional): Usually a ``CrossDomainPreprocessor``. Defaults to None.
        train_cfg (dict, optional): Overrides ``segmentor.train_cfg``. Defaults to None.
        test_cfg (dict, optional): Overrides ``segmentor.test_cfg``. Defaults to None.
        pretrained (str, optional): Passed to the segmentor, as ``EncoderDecoder`` takes it. Defaults to None.
        init_cfg (dict, optional): Initialisation of the whole model. Defaults to None.

    Raises:
        ValueError: If the class attributes contradict each other, the two preprocessors differ, ``predict_with`` is
            no network, ``share_backbone`` is set and nothing of the backbone is frozen, classes to re-weight are not
            the 19 of Cityscapes, or the segmentor is not an ``EncoderDecoder`` whose heads follow ``BaseDecodeHead``,
            its loss included.
    """

    networks: ClassVar[tuple[str, ...]] = ('night',)
    routes: ClassVar[Mapping[str, str]] = {}
    frozen: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        segmentor: ConfigType,
        predict_with: str = 'night',
        test_reweight_std: float | None = None,
        share_backbone: bool = False,
        recompute: Sequence[str] = (),
        data_preprocessor: OptConfigType = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        pretrained: str | None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        check_preprocessors_agree(data_preprocessor, segmentor.get('data_preprocessor'))
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        check_networks(type(self).__name__, self.networks, self.routes, self.frozen)
        check_network_name(predict_with, self.networks, 'predict_with')
        self.predict_with = predict_with
        segmentor = copy.deepcopy(segmentor)
        segmentor.pop('data_preprocessor', None)
        overrides = dict(train_cfg=train_cfg, test_cfg=test_cfg, pretrained=pretrained)
        segmentor.update({key: value for key, value in overrides.items() if value is not None})
        for name in self.networks:
            self.add_module(name, MODELS.build(copy.deepcopy(segmentor)))
            if share_backbone:
                share_frozen_child(self.network(self.networks[0]), self.network(name))
        self.share_backbone = share_backbone
        check_logits_map(self.network(self.networks[0]))
        test_weight = None
        if test_reweight_std is not None:
            if self.out_channels != len(CITYSCAPES_FREQUENCIES):
                raise UserInputError(
                    f'test_reweight_std needs the {len(CITYSCAPES_FREQUENCIES)} classes of Cityscapes, the decode '
                    f'head has {self.out_channels}: set test_reweight_std=None.'
                )
            test_weight = class_balance_weights(CITYSCAPES_FREQUENCIES, test_reweight_std)
        self.register_buffer('test_weight', test_weight, persistent=False)
        for name in self.frozen:
            freeze(self.network(name))
            self.network(name).eval()
        for name in self.exportable if recompute else ():
            recompute_maps(self.network(name), recompute, f'model.{name}')
        self._loaded_networks: set[str] = set()
        self.iteration = 0

    def set_iteration(self, iteration: int, max_iters: int) -> None:
        """Hear where the run is; ``DeferredInfoHook`` says so before every training iteration.

        Where nobody does, ``iteration`` stays 0: diagnostics are made every time.

        Args:
            iteration (int): Number of the iteration from 0 on; it goes on when a run is resumed.
            max_iters (int): Iterations of the whole run.
        """
        self.iteration = iteration
        for child in self.children():
            if isinstance(child, EMATeacher):
                child.set_length(max_iters)

    def network(self, name: str) -> EncoderDecoder:
        """The network of a name."""
        return getattr(self, name)

    @property
    def domains(self) -> tuple[str, ...]:
        """What the method reads: the domains that a training batch must hold. Defaults to those of the routes."""
        return tuple(self.routes)

    @property
    def missing_labels(self) -> str:
        """What is said where T_n has no labels; empty if none are needed."""
        return ''

    # What mmseg's tools ask of a segmentor comes from the network that predicts.
    @property
    def predictor(self) -> EncoderDecoder:
        """The network that predicts (M_n unless told otherwise)."""
        return self.network(self.predict_with)

    @property
    def decode_head(self) -> BaseDecodeHead:
        """Decode head of the predicting network."""
        return self.predictor.decode_head

    @property
    def align_corners(self) -> bool:
        """``align_corners`` of the predicting network."""
        return self.predictor.align_corners

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.predictor.num_classes

    @property
    def out_channels(self) -> int:
        """Number of logit channels."""
        return self.predictor.out_channels

    @property
    def test_cfg(self) -> Any:
        """Test settings of the predicting network (whole or slide inference)."""
        return self.predictor.test_cfg

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """Features of the predicting network for images ``(B, 3, H, W)``."""
        return self.predictor.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: list[dict]) -> Tensor:
        """Logits ``(B, K, H, W)`` of the predicting network at input size."""
        return self.predictor.encode_decode(inputs, batch_data_samples)

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predictions of the predicting network alone; see ``EncoderDecoder.predict``."""
        samples = self.predictor.predict(inputs, data_samples)
        if self.test_weight is not None:
            for sample in samples:
                logits = sample.seg_logits.data * self.test_weight.view(-1, 1, 1)
                sample.seg_logits.data = logits
                sample.pred_sem_seg.data = logits.argmax(dim=0, keepdim=True)
        return samples

    def _forward(self, inputs: Tensor, data_samples: OptSampleList = None) -> Tensor:
        return self.predictor._forward(inputs, data_samples)

    def init_weights(self) -> None:
        """Initialise the first network and give the others its weights; those that were loaded keep theirs.

        Only the first call does, as in mmengine: a second one must not undo training.
        """
        is_first = not self.is_init
        lead, *others = self.networks
        # The lead is initialised once; the others copy it.
        for name in {*others, *self._loaded_networks}:
            self.network(name).is_init = True
        if self.share_backbone and self._loaded_networks:
            frozen_child(self.network(lead).backbone).is_init = True
        super().init_weights()
        for name in others:
            if is_first and name not in self._loaded_networks:
                self.network(name).load_state_dict(self.network(lead).state_dict())

    def train(self, mode: bool = True) -> AdaptationSegmentor:
        """Training or evaluation mode for all but the frozen networks, which stay in evaluation mode.

        Args:
            mode (bool): Whether to train. Defaults to True.
        """
        super().train(mode)
        for name in self.frozen:
            self.network(name).eval()
        return self

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        networks = {name: self.network(name) for name in self.networks}
        self._loaded_networks |= route_checkpoint(state_dict, prefix, self, networks)
        if self.share_backbone:
            check_shared_weights(state_dict, prefix, networks)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """See ``BaseSegmentor.forward``; in ``loss`` mode ``inputs`` is one batch per domain.

        Raises:
            ValueError: If ``loss`` mode does not get a batch of every domain that the method reads.
        """
        if mode == 'loss':
            self._check_domains(inputs)
        return super().forward(inputs, data_samples, mode)

    def _check_domains(self, inputs: Any) -> None:
        """Refuse a batch that is not one per domain, or lacks a domain that the method reads."""
        if not isinstance(inputs, Mapping):
            raise UserInputError(
                f'training needs one batch per domain {self.domains}: set train_dataloader.dataset to a '
                'CrossDomainDataset and model.data_preprocessor to a CrossDomainPreprocessor.'
            )
        missing = [domain for domain in self.domains if domain not in inputs]
        if missing:
            raise UserInputError(
                f'{type(self).__name__} reads {self.domains}, but the training batch has {tuple(inputs)} and not '
                f'{missing[0]!r}: take a dataset that returns it, or add it to train_dataloader.dataset.domains.'
            )

    @property
    def exportable(self) -> tuple[str, ...]:
        """Names of the networks that an export may write: all that are trained."""
        return tuple(name for name in self.networks if name not in self.frozen)

    def export_branch(self, name: str = 'night') -> tuple[dict[str, Tensor], list[str]]:
        """State dict of one network as a plain ``EncoderDecoder`` has it.

        Args:
            name (str): One of :attr:`exportable`. Defaults to ``'night'``.

        Returns:
            tuple: The state dict (tensors on CPU) and the names of the model's keys left behind.

        Raises:
            ValueError: If there is no such network, or it is frozen.
        """
        check_network_name(name, self.exportable, f'the network of {type(self).__name__} to export')
        prefix = f'{name}.'
        full = self.state_dict()
        branch = {
            key[len(prefix) :]: value.cpu() for key, value in full.items() if key.startswith(prefix)
        }
        return branch, [key for key in full if not key.startswith(prefix)]

    # Steps that methods put together in `loss`.
    def branch_of(self, domain: str) -> EncoderDecoder:
        """The network that sees a domain, as ``routes`` says."""
        return self.network(self.routes[domain])

    @staticmethod
    def encode(branch: EncoderDecoder, images: Tensor) -> DomainMaps:
        """Backbone maps and decode-head inputs of ``images`` ``(B, 3, H, W)``."""
        maps = branch.backbone(images)
        return DomainMaps(maps, branch.neck(maps) if branch.with_neck else maps)

    @staticmethod
    def ground_truth(data_samples: SampleList) -> Tensor:
        """Labels ``(B, H, W)`` int64 of a list of samples."""
        return torch.stack([sample.gt_sem_seg.data for sample in data_samples]).squeeze(1).long()

    @staticmethod
    def upsample(head: BaseDecodeHead, logits: Tensor, size: Sequence[int]) -> Tensor:
        """Logits at ``size`` (bilinear, with the head's ``align_corners``)."""
        return resize(logits, size=tuple(size), mode='bilinear', align_corners=head.align_corners)

    @classmethod
    def head_loss(cls, head: BaseDecodeHead, logits: Tensor, labels: Tensor) -> Tensor:
        """Sum of a head's decode losses, without the accuracy that mmseg adds (it synchronises the device).

        What is kept of it is its gradient with respect to the small logits, see :mod:`early_backward`.

        Args:
            head (BaseDecodeHead): Decode or auxiliary head with its ``loss_decode``.
            logits (Tensor): ``(B, K, h, w)``.
            labels (Tensor): ``(B, H, W)`` int64.

        Returns:
            Tensor: Weighted scalar.
        """
        terms = (
            head.loss_decode if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]
        )

        def loss(small: list[Tensor]) -> dict[str, Tensor]:
            large = cls.upsample(head, small[0], labels.shape[1:])
            weight = None if head.sampler is None else head.sampler.sample(large, labels[:, None])
            options: dict[str, Any] = dict(weight=weight, ignore_index=head.ignore_index)
            return {'loss': torch.stack([term(large, labels, **options) for term in terms]).sum()}

        return early_backward(loss, [logits])['loss']

    def supervised_loss(
        self,
        branch: EncoderDecoder,
        domain: str,
        head_inputs: Sequence[Tensor],
        logits: Tensor,
        labels: Tensor,
        auxiliary_logits: Sequence[Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """L_seg of one labelled domain: decode head, and auxiliary heads (their logits, if they are there already)."""
        losses = {f'{domain}.loss_seg': self.head_loss(branch.decode_head, logits, labels)}
        if branch.with_auxiliary_head:
            heads = branch.auxiliary_head
            heads = heads if isinstance(heads, nn.ModuleList) else [heads]
            made = auxiliary_logits or [head(head_inputs) for head in heads]
            terms = [self.head_loss(*pair, labels) for pair in zip(heads, made, strict=True)]
            losses[f'{domain}.aux.loss_seg'] = torch.stack(terms).sum()
        return losses

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """Losses of one iteration; written by the method."""
        raise NotImplementedError(f'{type(self).__name__} must define loss().')
