"""What the oracles of the adaptation suite are made of: target labels that no unsupervised method has.

They say where the points lie that a method loses. They are no methods: nothing of the package reads these labels.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmseg.registry import DATASETS, MODELS
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.datasets import DarkZurichPairDataset, DatasetCheckError
from mmseg_ccdistill.datasets.one_draw import run_alike
from mmseg_ccdistill.domains import DomainSamples, DomainTensors
from mmseg_ccdistill.models.precision import full_precision
from mmseg_ccdistill.models.segmentors import CCDistillSegmentor


@DATASETS.register_module()
class LabelledPairs(DarkZurichPairDataset):
    """The day-night pairs of mini night with the labels of both images, which lie in ``gt`` beside ``rgb_anon``.

    Args:
        pipeline: As that of the pairs; the labels are loaded after the first transform.
        **kwargs: As of ``DarkZurichPairDataset``.

    Raises:
        DatasetCheckError: At ``full_init``, if a label is missing.
    """

    def __init__(self, pipeline: Sequence[Mapping[str, Any]], **kwargs: Any) -> None:
        steps = list(pipeline)
        if steps:
            steps.insert(1, dict(type='LoadAnnotations'))
        super().__init__(pipeline=steps, **kwargs)

    def full_init(self) -> None:
        """List the pairs and look for their labels."""
        super().full_init()
        for index in range(len(self)):
            info = self.get_data_info(index)
            for key in ('img_path', 'day_img_path'):
                label = self.label_of(info[key]) if key in info else None
                if label is not None and not os.path.exists(label):
                    raise DatasetCheckError(
                        f'The label {label!r} does not exist: expected one for every image of the pairs, because an '
                        'oracle reads them; render the world again into the same folder.'
                    )

    def label_of(self, image: str) -> str:
        """Path of the label of an image."""
        images = self.data_prefix['img_path']
        stem = os.path.relpath(image, images)[: -len(self.img_suffix)]
        return os.path.join(os.path.dirname(images), 'gt', f'{stem}_gt_labelTrainIds.png')

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on both images and their labels with one draw of random numbers.

        Args:
            idx: Number of the pair.
        """
        info = self.get_data_info(idx)
        paths = {'target_day': info.pop('day_img_path', None), 'target_night': info['img_path']}
        return run_alike(
            self.pipeline,
            {
                name: {**info, 'img_path': paths[name], 'seg_map_path': self.label_of(paths[name])}
                for name in self.domains
            },
        )


def only(labels: Tensor, classes: Sequence[int], ignore_index: int = 255) -> Tensor:
    """Labels of some classes; the others are ignored.

    Args:
        labels: ``(B, H, W)`` int64.
        classes: Class ids.
        ignore_index: Value of pixels without a label.
    """
    kept = torch.isin(labels, torch.tensor(list(classes), device=labels.device))
    return labels.masked_fill(~kept, ignore_index)


@MODELS.register_module()
class DayLabelOracle(CCDistillSegmentor):
    """The pseudo labels of T_n are the true labels of T_d, of the static classes, in place of M_d's predictions."""

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """See :class:`CCDistillSegmentor`; T_d has labels."""
        self._true_day = self.ground_truth(data_samples['target_day'])
        return super().loss(inputs, data_samples)

    @torch.no_grad()
    def pseudo_labels(self, teacher: Tensor, student: Tensor) -> Tensor:
        """The true labels of T_d; dynamic classes are ignored, as in the labels of M_d.

        Args:
            teacher: M_d(T_d), not used.
            student: M_n(T_n), not used.
        """
        assert self.loss_pseudo is not None
        return only(self._true_day, self.loss_pseudo.static_classes)


@MODELS.register_module()
class DynamicLabelOracle(CCDistillSegmentor):
    r"""T_n's true labels of the dynamic classes, beside the usual pseudo labels of the static ones.

    L_pseudo compares static classes with each other alone, so it cannot teach a dynamic one. A further term does,

    .. math:: L_{dynamic} = \frac{1}{|V|} \sum_{i \in V} -\ln p_i(y_i)

    over all classes; y is the true label where that is dynamic and M_d's pseudo label elsewhere, V are the pixels that
    have one.
    """

    def loss(self, inputs: DomainTensors, data_samples: DomainSamples) -> dict[str, Tensor]:
        """See :class:`CCDistillSegmentor`; T_n has labels, and there is ``target_night.loss_dynamic``."""
        self._true_night = self.ground_truth(data_samples['target_night'])
        return super().loss(inputs, data_samples)

    def night_losses(self, student: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """L_pseudo and L_dynamic.

        Args:
            student: M_n(T_n), ``(B, K, H, W)``.
            labels: M_d's labels, ``(B, H, W)`` int64.
        """
        assert self.loss_pseudo is not None
        static = set(self.loss_pseudo.static_classes)
        dynamic = [k for k in range(self.num_classes) if k not in static]
        true = only(self._true_night, dynamic)
        labels_of_all = torch.where(true != 255, true, labels)
        losses = F.cross_entropy(
            full_precision(student), labels_of_all, ignore_index=255, reduction='sum'
        )
        dynamic_loss = losses / (labels_of_all != 255).sum().clamp_min(1)
        return {
            **super().night_losses(student, labels),
            'target_night.loss_dynamic': dynamic_loss,
        }
