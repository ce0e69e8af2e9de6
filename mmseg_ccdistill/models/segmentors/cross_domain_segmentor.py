"""Base class of methods that adapt a day segmentor and a night segmentor side by side."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.segmentors import BaseSegmentor, EncoderDecoder
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import ConfigType, OptConfigType, OptMultiConfig, OptSampleList, SampleList
from torch import Tensor, nn

from ...errors import UserInputError
from ...utils.checkpoint_match import check_match
from ...utils.typing_utils import DOMAINS, DomainSamples, DomainTensors
from ..data_preprocessors.cross_domain_preprocessor import check_preprocessors_agree
from ..losses.class_weights import CITYSCAPES_FREQUENCIES, class_balance_weights

#: Branch names, M_d and M_n of the paper.
BRANCHES = ('day', 'night')


class DomainMaps(NamedTuple):
    """Feature maps of one domain.

    Attributes:
        backbone: Raw maps of the backbone, ``(B, C_i, h_i, w_i)``.
        head_inputs: What the decode head reads: the neck's output, or the same maps.
    """

    backbone: Sequence[Tensor]
    head_inputs: Sequence[Tensor]


class CrossDomainSegmentor(BaseSegmentor):
    """Two complete segmentors of one architecture, one per illumination.

    ``day`` (M_d) sees ``source_day`` and ``target_day``, ``night`` (M_n) sees ``source_night`` and ``target_night``.
    Both start from equal weights and share none. Methods subclass this and write :meth:`loss`; prediction, test-time
    augmentation, checkpoint routing and export are common.

    Args:
        segmentor (dict): Config of one ``EncoderDecoder``; it is built twice. Its own ``data_preprocessor`` is not
            used here: one that normalises otherwise is refused.
        predict_with (str): Branch that answers ``predict`` and ``tensor`` calls. Defaults to ``'night'``, the
            model that the paper tests.
        test_reweight_std (float, optional): Multiply the logits of ``predict`` by ``class_balance_weights`` of
            Cityscapes' frequencies with this spread. DANNet tests with 0.16, chosen on its validation set; the
            paper makes no change at test time. Defaults to None.
        data_preprocessor (dict, optional): Usually a ``CrossDomainPreprocessor``. Defaults to None.
        train_cfg (dict, optional): Overrides ``segmentor.train_cfg``. Defaults to None.
        test_cfg (dict, optional): Overrides ``segmentor.test_cfg``. Defaults to None.
        pretrained (str, optional): Passed to the segmentor, as ``EncoderDecoder`` takes it. Defaults to None.
        init_cfg (dict, optional): Initialisation of the whole model. Defaults to None.

    Raises:
        ValueError: If the two preprocessors differ, ``predict_with`` is no branch, classes to re-weight are not the
            19 of Cityscapes, or the segmentor is not an ``EncoderDecoder`` whose heads follow ``BaseDecodeHead``, its
            loss included.
    """

    def __init__(
        self,
        segmentor: ConfigType,
        predict_with: str = 'night',
        test_reweight_std: float | None = None,
        data_preprocessor: OptConfigType = None,
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
        pretrained: str | None = None,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        check_preprocessors_agree(data_preprocessor, segmentor.get('data_preprocessor'))
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        if predict_with not in BRANCHES:
            raise UserInputError(f'predict_with must be one of {BRANCHES}, got {predict_with!r}.')
        self.predict_with = predict_with
        segmentor = copy.deepcopy(segmentor)
        segmentor.pop('data_preprocessor', None)
        overrides = dict(train_cfg=train_cfg, test_cfg=test_cfg, pretrained=pretrained)
        segmentor.update({key: value for key, value in overrides.items() if value is not None})
        self.day = MODELS.build(copy.deepcopy(segmentor))
        self.night = MODELS.build(copy.deepcopy(segmentor))
        if not isinstance(self.day, EncoderDecoder) or not isinstance(
            self.day.decode_head, BaseDecodeHead
        ):
            raise UserInputError(
                'segmentor must be an EncoderDecoder whose decode head derives from BaseDecodeHead, got '
                f'{type(self.day).__name__}: cascaded and mask-classification models have no logits map to adapt.'
            )
        _check_head_losses(self.day)
        test_weight = None
        if test_reweight_std is not None:
            if self.out_channels != len(CITYSCAPES_FREQUENCIES):
                raise UserInputError(
                    f'test_reweight_std needs the {len(CITYSCAPES_FREQUENCIES)} classes of Cityscapes, the decode '
                    f'head has {self.out_channels}: set test_reweight_std=None.'
                )
            test_weight = class_balance_weights(CITYSCAPES_FREQUENCIES, test_reweight_std)
        self.register_buffer('test_weight', test_weight, persistent=False)
        self._night_loaded = False

    # What mmseg's tools ask of a segmentor comes from the branch that predicts.
    @property
    def predictor(self) -> EncoderDecoder:
        """The branch that predicts (M_n unless told otherwise)."""
        return getattr(self, self.predict_with)

    @property
    def decode_head(self) -> BaseDecodeHead:
        """Decode head of the predicting branch."""
        return self.predictor.decode_head

    @property
    def align_corners(self) -> bool:
        """``align_corners`` of the predicting branch."""
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
        """Test settings of the predicting branch (whole or slide inference)."""
        return self.predictor.test_cfg

    def extract_feat(self, inputs: Tensor) -> Sequence[Tensor]:
        """Features of the predicting branch for images ``(B, 3, H, W)``."""
        return self.predictor.extract_feat(inputs)

    def encode_decode(self, inputs: Tensor, batch_data_samples: list[dict]) -> Tensor:
        """Logits ``(B, K, H, W)`` of the predicting branch at input size."""
        return self.predictor.encode_decode(inputs, batch_data_samples)

    def predict(self, inputs: Tensor, data_samples: OptSampleList = None) -> SampleList:
        """Predictions of the predicting branch alone; see ``EncoderDecoder.predict``."""
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
        """Initialise ``day`` and give ``night`` the same weights, unless ``night`` was loaded.

        Only the first call does, as in mmengine: a second one must not undo training.
        """
        is_first = not self.is_init
        self.night.is_init = True  # day is initialised once; night copies it
        super().init_weights()
        if is_first and not self._night_loaded:
            self.night.load_state_dict(self.day.state_dict())

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        self._route_checkpoint(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _route_checkpoint(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Send a plain (unprefixed) checkpoint to both branches; refuse one that fits neither."""
        own = {key[len(prefix) :]: key for key in state_dict if key.startswith(prefix)}
        if not any(name.startswith(tuple(f'{branch}.' for branch in BRANCHES)) for name in own):
            loaded = {name: state_dict[key] for name, key in own.items()}
            whole = {**self.night.state_dict(), **self.state_dict()}
            if not set(whole) & set(loaded):
                check_match(loaded, whole)  # says what would make a plain or a whole one fit
            for name, key in own.items():
                value = state_dict.pop(key)
                for branch in BRANCHES:
                    state_dict[f'{prefix}{branch}.{name}'] = value
        for branch in BRANCHES:
            start = f'{prefix}{branch}.'
            loaded = {k[len(start) :]: v for k, v in state_dict.items() if k.startswith(start)}
            if not loaded:
                continue
            matched, expected = check_match(loaded, getattr(self, branch).state_dict())
            print_log(f'checkpoint: {matched} of {expected} tensors fit {branch}', logger='current')
            self._night_loaded |= branch == 'night'

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        """See ``BaseSegmentor.forward``; in ``loss`` mode ``inputs`` is one batch per domain.

        Raises:
            ValueError: If ``loss`` mode does not get the domains of ``CrossDomainDataset``.
        """
        if mode == 'loss' and not (isinstance(inputs, Mapping) and set(inputs) <= set(DOMAINS)):
            raise UserInputError(
                f'training needs one batch per domain {DOMAINS}: set train_dataloader.dataset to a '
                'CrossDomainDataset and model.data_preprocessor to a CrossDomainPreprocessor.'
            )
        return super().forward(inputs, data_samples, mode)

    def export_branch(self, name: str = 'night') -> tuple[dict[str, Tensor], list[str]]:
        """State dict of one branch as a plain ``EncoderDecoder`` has it.

        Args:
            name (str): ``'night'`` or ``'day'``. Defaults to ``'night'``.

        Returns:
            tuple: The state dict (tensors on CPU) and the names of the model's keys left behind.
        """
        prefix = f'{name}.'
        full = self.state_dict()
        branch = {
            key[len(prefix) :]: value.cpu() for key, value in full.items() if key.startswith(prefix)
        }
        return branch, [key for key in full if not key.startswith(prefix)]

    # Steps that methods put together in `loss`.
    def branch_of(self, domain: str) -> EncoderDecoder:
        """The branch that sees a domain, by the light in its name."""
        return getattr(self, branch_name(domain))

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

        Args:
            head (BaseDecodeHead): Decode or auxiliary head with its ``loss_decode``.
            logits (Tensor): ``(B, K, h, w)``.
            labels (Tensor): ``(B, H, W)`` int64.

        Returns:
            Tensor: Weighted scalar.
        """
        logits = cls.upsample(head, logits, labels.shape[1:])
        weight = None if head.sampler is None else head.sampler.sample(logits, labels.unsqueeze(1))
        terms = (
            head.loss_decode if isinstance(head.loss_decode, nn.ModuleList) else [head.loss_decode]
        )
        return torch.stack(
            [term(logits, labels, weight=weight, ignore_index=head.ignore_index) for term in terms]
        ).sum()

    def supervised_loss(
        self,
        branch: EncoderDecoder,
        domain: str,
        head_inputs: Sequence[Tensor],
        logits: Tensor,
        labels: Tensor,
    ) -> dict[str, Tensor]:
        """L_seg of one labelled domain: decode head, and auxiliary heads if there are any."""
        losses = {f'{domain}.loss_seg': self.head_loss(branch.decode_head, logits, labels)}
        if branch.with_auxiliary_head:
            heads = branch.auxiliary_head
            heads = heads if isinstance(heads, nn.ModuleList) else [heads]
            losses[f'{domain}.aux.loss_seg'] = torch.stack(
                [self.head_loss(head, head(head_inputs), labels) for head in heads]
            ).sum()
        return losses

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """Losses of one iteration; written by the method."""
        raise NotImplementedError(f'{type(self).__name__} must define loss().')


def _check_head_losses(segmentor: EncoderDecoder) -> None:
    """Refuse a head whose loss is not ``loss_decode`` on its logits, which is what methods compute."""
    heads = [segmentor.decode_head]
    if segmentor.with_auxiliary_head:
        auxiliary = segmentor.auxiliary_head
        heads += list(auxiliary) if isinstance(auxiliary, nn.ModuleList) else [auxiliary]
    for head in heads:
        if any(
            getattr(type(head), name, None) is not getattr(BaseDecodeHead, name)
            for name in ('loss', 'loss_by_feat')
        ):
            raise UserInputError(
                f'{type(head).__name__} computes its loss in a way of its own, which adaptation does not follow: '
                'take a head that keeps the loss of BaseDecodeHead, or leave it out if it is an auxiliary one.'
            )


def branch_name(domain: str) -> str:
    """Name of the branch that sees a domain, ``'day'`` or ``'night'``: the light in the domain's name."""
    return domain.rsplit('_', 1)[1]


def build_optional(config: ConfigType | None) -> BaseModule | None:
    """Build a component from its config; ``None`` means that the component is off."""
    return None if config is None else MODELS.build(config)
