"""Whether a training batch will hold the domains, and the labels of T_n, that the method reads."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn

from ..datasets import CrossDomainDataset
from ..datasets.file_check import leaf_datasets
from ..errors import UserInputError
from ..models.segmentors import AdaptationSegmentor


def check_domains(model: nn.Module, dataset: Any) -> None:
    """Compare what an adaptation reads with what its training set gives, before the first sample.

    A set whose target does not say what it returns is left to the first batch.

    Args:
        model: The model, wrapped for several processes or not; other models than adaptations are left alone.
        dataset: The training set; other sets than ``CrossDomainDataset`` are left alone.

    Raises:
        UserInputError: If a domain is missing, or the labels of T_n.
    """
    inner: Any = model.module if is_model_wrapper(model) else model
    if not isinstance(inner, AdaptationSegmentor) or not isinstance(dataset, CrossDomainDataset):
        return
    target: Any = next(iter(leaf_datasets(dataset.target)))
    says = hasattr(target, 'domains')
    missing = [domain for domain in inner.domains if domain not in dataset.domains]
    if missing and (dataset.is_selective or says):
        raise UserInputError(
            f'train_dataloader.dataset: its samples hold {dataset.domains} and no {missing[0]!r}, but '
            f'{type(inner).__name__} reads {inner.domains}: add it to train_dataloader.dataset.domains, or take a '
            "source, a target or a transform (LABTransfer makes 'source_night') that returns it"
        )
    if inner.missing_labels and getattr(target, 'night_label_dir', '') is None:
        raise UserInputError(inner.missing_labels)
