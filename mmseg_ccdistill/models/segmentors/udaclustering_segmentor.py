"""UDAclustering: adaptation by clustered, orthogonal and sparse features (Toldo et al., WACV 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mmseg.registry import MODELS
from mmseg.utils import ConfigType
from torch import Tensor

from ...domains import DomainSamples, DomainTensors
from ...errors import UserInputError
from ..losses.channel_sparsity import sparsity_loss
from ..losses.feature_clustering import class_centroids, clustering_loss
from ..losses.max_square import check_ratio, max_square_loss
from ..losses.orthogonality import centroid_scores, orthogonality_loss, orthogonality_scale
from ..losses.position_classes import nearest_classes, predicted_classes, with_classes
from ..precision import autocast_off, full_precision
from .adaptation_segmentor import AdaptationSegmentor
from .diagnostics import largest_class
from .features import backbone_index, feature_channels

#: Where the classes of the source's positions come from.
CLASS_SOURCES = ('prediction', 'label')


class DomainView(NamedTuple):
    """What the network says about one domain, in float32 (float64 stays float64).

    Attributes:
        head_inputs: What the decode head reads.
        logits: ``(B, K, h, w)``, as the decode head returns them.
        feature: The map that is clustered, ``(B, C, h', w')``.
        probabilities: Softmax at the size of the images, ``(B, K, H, W)``.
    """

    head_inputs: Sequence[Tensor]
    logits: Tensor
    feature: Tensor
    probabilities: Tensor


@MODELS.register_module()
class UDAClusteringSegmentor(AdaptationSegmentor):
    r"""One network on labelled S_d and unlabelled T_n, whose features shall be clustered by class in both.

    .. math:: L = L_{seg}(S) + \lambda_{cl} (f_S + f_T - c) + \lambda_{or} L_{or} + \lambda_{sp} L_{sp}
        + \lambda_{em} L_{em}(T)

    There is no discriminator and no second optimizer. The class of a position is what the network predicts there, in
    both domains. Features and centroids have a gradient; the centroids are those of the batch, on each process. In the
    log: ``cluster.ortho`` (L_or without its weight), ``cluster.ortho_spread`` and ``cluster.ortho_gradient`` (see
    :func:`~mmseg_ccdistill.models.losses.orthogonality.orthogonality_scale`), and ``night.largest_class``, the share of
    T that the most frequent class gets.

    Args:
        segmentor (dict): Config of one ``EncoderDecoder``.
        cluster_weight (float): λ_cl. Defaults to 0.02. All four are the published ones from GTA5 to Cityscapes.
        ortho_weight (float): λ_or. Defaults to 2.
        sparse_weight (float): λ_sp. Defaults to 0.5.
        square_weight (float): λ_em. Defaults to 0.1.
        square_ratio (float): Class balance of L_em, from 0 (none) to 1. Defaults to 0.2, the published one.
        class_source (str): Class of the positions of S: ``'prediction'``, as published, or ``'label'``; positions
            without a label are then in no cluster. Defaults to ``'prediction'``.
        ortho_temperature (float): Divides the scores of L_or. Defaults to 1.
        ortho_normalize (bool): Cosines as scores of L_or, in place of dot products. Ours. Defaults to False.
        feature (str): The map that is clustered, ``'backbone.<index>'``. Defaults to ``'backbone.-1'``, the last.
        **kwargs: See :class:`AdaptationSegmentor`.

    Raises:
        ValueError: On a negative weight, four weights of 0, a ratio outside 0 to 1, a temperature that is not positive,
            an unknown source of classes, or a map that is not there.
    """

    networks = ('night',)
    routes = {'source_day': 'night', 'target_night': 'night'}

    def __init__(
        self,
        segmentor: ConfigType,
        cluster_weight: float = 0.02,
        ortho_weight: float = 2.0,
        sparse_weight: float = 0.5,
        square_weight: float = 0.1,
        square_ratio: float = 0.2,
        class_source: str = 'prediction',
        ortho_temperature: float = 1.0,
        ortho_normalize: bool = False,
        feature: str = 'backbone.-1',
        **kwargs: Any,
    ) -> None:
        super().__init__(segmentor, **kwargs)
        self.weights = {
            'cluster': cluster_weight,
            'ortho': ortho_weight,
            'sparse': sparse_weight,
            'square': square_weight,
        }
        _check_weights(self.weights)
        check_ratio(square_ratio)
        if class_source not in CLASS_SOURCES:
            raise UserInputError(
                f'class_source must be one of {CLASS_SOURCES}, got {class_source!r}.'
            )
        if not ortho_temperature > 0:
            raise UserInputError(f'ortho_temperature must be positive, got {ortho_temperature}.')
        index = backbone_index(feature)
        if index is None:
            raise UserInputError(
                f"feature must be 'backbone.<index>' here, got {feature!r}: take 'backbone.-1', the last map."
            )
        feature_channels(self.night, feature, getattr(self.data_preprocessor, 'size', None))
        self.feature_index = index
        self.square_ratio = square_ratio
        self.class_source = class_source
        self.ortho_temperature = ortho_temperature
        self.ortho_normalize = ortho_normalize

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """Losses and diagnostics of one iteration.

        Args:
            inputs (dict[str, Tensor]): Normalised images ``(B, 3, H, W)`` of ``source_day`` and ``target_night``.
            data_samples (dict[str, list]): Samples per domain; S_d carries ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: Weighted terms whose keys contain ``loss`` (they sum to the total), and what is logged.
        """
        labels = self.ground_truth(data_samples['source_day'])
        source = self.view(inputs['source_day'], is_constant=True)
        log = self.supervised_loss(
            self.night, 'source_day', source.head_inputs, source.logits, labels
        )
        target = self.view(inputs['target_night'])
        with autocast_off(source.feature):
            log |= self.feature_losses(source, target, labels)
            square = max_square_loss(target.probabilities, self.square_ratio)
        log['night.loss_square'] = self.weights['square'] * square
        log['night.largest_class'] = largest_class(target.logits)
        return log

    # The steps of the loss, which a subclass may replace one by one.
    def view(self, images: Tensor, is_constant: bool = False) -> DomainView:
        """Forward pass of one domain, images ``(B, 3, H, W)``; its probabilities may be constants."""
        maps = self.encode(self.night, images)
        head = self.night.decode_head
        logits = head(maps.head_inputs)
        with autocast_off(logits):
            feature = full_precision(maps.backbone[self.feature_index])
            small = full_precision(logits.detach() if is_constant else logits)
            probabilities = self.upsample(head, small, images.shape[2:]).softmax(1)
        return DomainView(maps.head_inputs, logits, feature, probabilities)

    def feature_losses(
        self, source: DomainView, target: DomainView, labels: Tensor
    ) -> dict[str, Tensor]:
        """L_cl, L_or and L_sp of the features of both domains, weighted, and the scale of L_or."""
        shrunk, nearest = zip(
            self.position_classes(source, labels if self.class_source == 'label' else None),
            self.position_classes(target),
            strict=True,
        )
        features = (source.feature, target.feature)
        # As published: clusters by the shrunk probabilities, the other two terms by the nearest pixel.
        clustered, assigned = (
            [with_classes(f, c, self.out_channels) for f, c in zip(features, classes, strict=True)]
            for classes in (shrunk, nearest)
        )
        centroids = class_centroids(assigned)
        scores = centroid_scores(assigned, centroids, self.ortho_temperature, self.ortho_normalize)
        ortho = orthogonality_loss(scores)
        spread, gradient = orthogonality_scale(scores)
        return {
            'night.loss_cluster': self.weights['cluster'] * clustering_loss(*clustered),
            'night.loss_ortho': self.weights['ortho'] * ortho,
            'night.loss_sparse': self.weights['sparse'] * sparsity_loss(centroids),
            'cluster.ortho': ortho.detach(),
            'cluster.ortho_spread': spread,
            'cluster.ortho_gradient': gradient,
        }

    def position_classes(
        self, view: DomainView, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Classes ``(B, h', w')`` of the positions for the clusters, and for the other two terms."""
        height, width = view.feature.shape[2:]
        if labels is not None:
            classes = nearest_classes(labels, (height, width))
            return classes, classes
        shrunk = predicted_classes(view.probabilities, (height, width))
        return shrunk, nearest_classes(view.probabilities.argmax(1), (height, width))


def _check_weights(weights: dict[str, float]) -> None:
    """Refuse a negative weight, and a method without a term."""
    for name, weight in weights.items():
        if not weight >= 0:
            raise UserInputError(
                f'{name}_weight must not be negative, got {weight}: 0 turns the term off.'
            )
    if not any(weights.values()):
        raise UserInputError(
            'UDAClusteringSegmentor: all four weights are 0; for no adaptation train the source-only config.'
        )
