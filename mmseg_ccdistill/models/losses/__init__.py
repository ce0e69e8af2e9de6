"""Losses of the methods."""

from .adversarial import adversarial_loss, discriminator_loss
from .channel_sparsity import sparsity_loss
from .class_weights import CITYSCAPES_CLASSES, CITYSCAPES_FREQUENCIES, class_balance_weights
from .content_correlation import CDCLoss, correlation_maps, cosine_map, match_parallax
from .entropy import class_prior_loss, entropy_loss, self_information
from .feature_clustering import class_centroids, clustering_loss
from .js_divergence import js_divergence
from .light_loss import LightLoss, light_loss
from .max_square import max_square_loss
from .orthogonality import centroid_scores, orthogonality_loss
from .pseudo_label_weight import PseudoLabelWeight, class_quantiles, confident_ratio
from .static_classes import STATIC_CLASSES
from .static_loss import StaticLoss, static_loss, static_pseudo_labels
from .style_correlation import CDSLoss, gram_cosine
from .weighted_cross_entropy import WeightedCrossEntropyLoss

__all__ = [
    'CITYSCAPES_CLASSES',
    'CITYSCAPES_FREQUENCIES',
    'STATIC_CLASSES',
    'CDCLoss',
    'CDSLoss',
    'LightLoss',
    'PseudoLabelWeight',
    'StaticLoss',
    'WeightedCrossEntropyLoss',
    'adversarial_loss',
    'centroid_scores',
    'class_balance_weights',
    'class_centroids',
    'class_prior_loss',
    'class_quantiles',
    'clustering_loss',
    'confident_ratio',
    'correlation_maps',
    'cosine_map',
    'discriminator_loss',
    'entropy_loss',
    'gram_cosine',
    'js_divergence',
    'light_loss',
    'match_parallax',
    'max_square_loss',
    'orthogonality_loss',
    'self_information',
    'sparsity_loss',
    'static_loss',
    'static_pseudo_labels',
]
