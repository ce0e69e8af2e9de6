"""mIoU of night sets: MMSegmentation's, the mean over present classes, and UIoU."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from PIL import Image
from torch import Tensor

from ..datasets.file_check import DatasetCheckError
from ..datasets.image_facts import PILLOW_ERRORS, unreadable_reason_of, unreadable_sentence
from ..datasets.label_palette import read_palette, shows_own_greys
from ..datasets.published_sets import ANON_LABEL_SUFFIX, INVALID_SUFFIX
from ..errors import UserInputError
from .confusion import confusion_matrix, present_iou
from .prediction_files import PredictionFiles
from .report import (
    SetReport,
    absent_class_notes,
    class_table,
    markdown_table,
    write_reports,
)
from .uncertainty import (
    UncertaintyCounts,
    average_thresholds,
    predicted_confidence,
    uiou,
    uncertainty_counts,
)


@METRICS.register_module()
class NightIoUMetric(IoUMetric):
    """IoU on a night set, with the reading of absent classes stated and UIoU where there are masks.

    ``aAcc``, ``mIoU`` and ``mAcc`` equal those of ``IoUMetric`` to the last digit: a class that is
    absent in the ground truth is left out of the mean if it was never predicted, and counts as 0 if
    it was. ``mIoU_present`` is the mean over the classes that occur in the ground truth, whatever
    was predicted. Night sets lack classes (BDD100K-night has no train, Nighttime Driving no terrain
    and no motorcycle), so the two differ, and papers do not agree on which one they print.

    Where a label ``*_gt_labelTrainIds.png`` has a mask ``*_gt_invIds.png`` beside it, as in Dark
    Zurich and ACDC, ``mUIoU`` (at ``uiou_threshold``) and ``mAUIoU`` (average UIoU) are reported,
    too (:mod:`.uncertainty` has the definitions). The headline IoU never looks at the masks: pixels
    marked invalid carry a class and are scored.

    ``report`` holds the results of the last evaluation on the main process.

    Args:
        dataset_name: Label of the set, e.g. ``'DZ-val'``. Tables show it with the number of images.
        expected_images: Images of the published set; another number is stated in every table.
        uiou_threshold: Confidence below which ``mUIoU`` rejects a pixel. The benchmark leaves it to
            the method; 0 rejects nothing. Defaults to 0.5, our choice.
        with_uiou: Look for invalid masks. Defaults to True.
        report_dir: Folder for ``<dataset_name>.json`` and ``.md``, replaced at each evaluation; None
            writes none.
        image_root: Folder above all images, from which predictions in ``output_dir`` keep their folders;
            the tools set it. None names predictions by the file name alone.
        iou_metrics: As in ``IoUMetric``; ``'mIoU'`` must be among them.
        **kwargs: ``ignore_index``, ``output_dir``, ``format_only``, ``collect_device``, ``prefix``,
            … of ``IoUMetric``.

    Raises:
        DatasetCheckError: While testing, at a label with other ids than classes and
            ``ignore_index``, or a mask that does not fit; names the file.
    """

    #: What a label file ends in, and what its mask ends in instead.
    label_suffix, mask_suffix = ANON_LABEL_SUFFIX, INVALID_SUFFIX

    def __init__(
        self,
        dataset_name: str = 'night',
        expected_images: int | None = None,
        uiou_threshold: float = 0.5,
        with_uiou: bool = True,
        report_dir: str | None = None,
        image_root: str | None = None,
        iou_metrics: Sequence[str] = ('mIoU',),
        **kwargs: Any,
    ) -> None:
        if 'mIoU' not in iou_metrics:
            raise UserInputError(
                f"iou_metrics={list(iou_metrics)} of NightIoUMetric: expected 'mIoU' among them; "
                'use IoUMetric for other scores alone.'
            )
        super().__init__(iou_metrics=list(iou_metrics), **kwargs)
        self.dataset_name = dataset_name
        self.expected_images = expected_images
        self.uiou_threshold = float(uiou_threshold)
        self.with_uiou = with_uiou
        self.report_dir = report_dir
        self.report: SetReport | None = None
        self.predictions = (
            None if self.output_dir is None else PredictionFiles(self.output_dir, image_root)
        )

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each image of a batch.

        Args:
            data_batch: Not used.
            data_samples: Predictions with ``pred_sem_seg``, ``gt_sem_seg`` and, for UIoU and the
                check of the scores, ``seg_logits``.

        Raises:
            DatasetCheckError: If a label or a mask does not hold what it must.
        """
        for sample in data_samples:
            if not self.format_only:
                self.results.append(self._count(sample))
            if self.predictions is not None:
                self.predictions.write(sample)

    def _count(self, sample: dict) -> dict[str, Any]:
        num_classes = len(self.dataset_meta['classes'])
        prediction = sample['pred_sem_seg']['data'].squeeze(0)
        label = sample['gt_sem_seg']['data'].squeeze(0).to(prediction.device)
        path = sample.get('seg_map_path') or f'label of {sample.get("img_path", "an image")}'
        counts: dict[str, Any] = dict(
            confusion=confusion_matrix(prediction, label, num_classes, self.ignore_index, path),
            image=sample.get('img_path', ''),
            finite=True,
            uncertainty=None,
            without_uiou='',
        )
        logits = sample['seg_logits']['data'] if 'seg_logits' in sample else None
        if logits is not None:
            # One sum instead of a map of booleans: NaN and infinity survive it.
            counts['finite'] = bool(torch.isfinite(logits.sum(dtype=torch.float32)))
        if self.with_uiou and counts['finite']:
            counts['uncertainty'], counts['without_uiou'] = self._count_uncertainty(
                prediction, label, logits, path
            )
        return counts

    def _count_uncertainty(
        self, prediction: Tensor, label: Tensor, logits: Tensor | None, path: str
    ) -> tuple[UncertaintyCounts | None, str]:
        """Counts for UIoU, or why there are none."""
        mask_path = path[: -len(self.label_suffix)] + self.mask_suffix
        if not path.endswith(self.label_suffix) or not os.path.isfile(mask_path):
            return None, 'have no invalid mask'
        num_classes = len(self.dataset_meta['classes'])
        if logits is None or logits.shape[0] != num_classes:
            return None, 'have no score for every class'
        confidence = predicted_confidence(logits, prediction)
        if confidence is None:
            return None, 'have scores that do not belong to the prediction (test-time augmentation)'
        invalid = read_invalid_mask(mask_path, tuple(label.shape))
        counts = uncertainty_counts(
            prediction,
            torch.where(label == self.ignore_index, num_classes, label.long()),
            confidence,
            invalid,
            self._thresholds(),
            num_classes,
        )
        return counts, ''

    def _thresholds(self) -> np.ndarray:
        """Thresholds of the average, and that of ``mUIoU`` in front: ``(1 + T,)``, ascending."""
        grid = average_thresholds(len(self.dataset_meta['classes']))
        return np.sort(np.append(grid, np.float32(self.uiou_threshold)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum the counts over the set and turn them into scores.

        Args:
            results: What :meth:`process` kept of every image, in the order of the data set.

        Returns:
            ``aAcc``, ``mIoU``, ``mAcc``, ``mIoU_present`` in percent, rounded to two digits as in
            ``IoUMetric``; ``mUIoU`` and ``mAUIoU`` where every image has an invalid mask. All are
            NaN if an image had scores that are not finite.
        """
        if self.format_only:
            return super().compute_metrics(results)
        self.report = self.make_report(results)
        self._publish()
        return dict(self.report.summary)

    def make_report(self, results: list) -> SetReport:
        """Sum the counts over the set and lay the scores out, those of :meth:`compute_metrics` as ``summary``."""
        intersect, union, predicted, truth = self._total_areas(results)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', RuntimeWarning)  # the mean of no class is NaN
            scores = self.total_area_to_metrics(
                intersect, union, predicted, truth, self.metrics, self.nan_to_num, self.beta
            )
            summary = {
                key if key == 'aAcc' else f'm{key}': np.round(np.nanmean(value) * 100, 2)
                for key, value in scores.items()
            }
            present = scores['IoU'][truth.numpy() > 0]
            summary['mIoU_present'] = np.round(np.nanmean(present) * 100, 2)
            uncertainty = self._summarise_uncertainty(results, summary)

        totals = sum(image['confusion'] for image in results)
        label_pixels, predicted_pixels = totals.sum(1).tolist(), totals.sum(0).tolist()
        classes = tuple(self.dataset_meta['classes'])
        notes = list(absent_class_notes(classes, label_pixels, predicted_pixels))
        notes += self._uiou_notes(results)
        broken = [image['image'] for image in results if not image['finite']]
        if broken:
            summary = dict.fromkeys(summary, float('nan'))
            notes.append(
                f'The scores of {len(broken)} of {len(results)} images are not finite (first: '
                f'{broken[0]}), so every mean is nan: the weights have diverged.'
            )
        elif not all(np.isfinite(value) for value in summary.values()):
            names = ', '.join(key for key, value in summary.items() if not np.isfinite(value))
            notes.append(f'Not finite: {names}; the ground truth holds no pixel of any class.')
        return SetReport(
            name=self.dataset_name,
            num_images=len(results),
            classes=classes,
            iou=_percent(scores['IoU']),
            accuracy=_percent(scores['Acc']),
            label_pixels=tuple(label_pixels),
            predicted_pixels=tuple(predicted_pixels),
            summary={key: float(value) for key, value in summary.items()},
            expected_images=self.expected_images,
            notes=tuple(notes),
            images=tuple((image['image'], present_iou(image['confusion'])) for image in results),
            **uncertainty,
        )

    def _total_areas(self, results: list) -> list[Tensor]:
        """Intersection, union, prediction and label of every class, summed as ``IoUMetric`` does.

        It adds float32 areas image by image; the same additions give the same last digit.
        """
        areas: list[list[Tensor]] = [[], [], [], []]
        for image in results:
            matrix = image['confusion']
            intersect = matrix.diagonal().float()
            predicted, truth = matrix.sum(0).float(), matrix.sum(1).float()
            union = predicted + truth - intersect
            for values, value in zip(areas, (intersect, union, predicted, truth), strict=True):
                values.append(value)
        zero = torch.zeros(len(self.dataset_meta['classes']))
        return [sum(values, zero) for values in areas]

    def _summarise_uncertainty(self, results: list, summary: dict) -> dict[str, Any]:
        """Add ``mUIoU`` and ``mAUIoU`` to the summary and return the values of the classes."""
        parts = [image['uncertainty'] for image in results]
        if not parts or any(part is None for part in parts):
            return {}
        counts = UncertaintyCounts(*parts[0])  # plain tuples after collection from other ranks
        for part in parts[1:]:
            counts = counts + UncertaintyCounts(*part)
        thresholds = self._thresholds()
        chosen = int(np.searchsorted(thresholds, np.float32(self.uiou_threshold)))
        values = uiou(counts)
        grid = np.delete(values, chosen, axis=0)
        summary['mUIoU'] = np.round(np.nanmean(values[chosen]) * 100, 2)
        summary['mAUIoU'] = np.round(np.nanmean(np.nanmean(grid, axis=1)) * 100, 2)
        return dict(uiou=_percent(values[chosen]), average_uiou=_percent(np.nanmean(grid, axis=0)))

    def _uiou_notes(self, results: list) -> list[str]:
        if not self.with_uiou or not results:
            return []
        reasons = [image['without_uiou'] for image in results if image['without_uiou']]
        if not reasons:
            return [f'mUIoU rejects pixels whose confidence is below {self.uiou_threshold:g}.']
        if len(reasons) == len(results) and reasons[0] == 'have no invalid mask':
            return []  # a set without masks
        return [f'No UIoU: {len(reasons)} of {len(results)} images {reasons[0]}.']

    def _publish(self) -> None:
        """Log the table, state what is unusual, and write the files."""
        report = self.report
        assert report is not None
        table = markdown_table(class_table(report))
        print_log(f'{report.title}, IoU in percent:\n{table}', logger='current')
        bad = not all(np.isfinite(value) for value in report.summary.values())
        for note in report.notes:
            print_log(
                f'{report.title}: {note}',
                logger='current',
                level=logging.ERROR if bad and 'finite' in note else logging.INFO,
            )
        if self.report_dir is not None:
            stem = os.path.join(self.report_dir, self.dataset_name)
            write_reports([report], stem, report.title)


def read_invalid_mask(path: str, shape: tuple[int, ...]) -> Tensor:
    """Read a mask of Dark Zurich or ACDC: 1 invalid, 0 valid.

    Args:
        path: A ``*_gt_invIds.png``.
        shape: Height and width of the label.

    Returns:
        Boolean mask, shape ``(H, W)``; 255, should it occur, counts as valid.

    Raises:
        DatasetCheckError: If the file cannot be read or has another size, other values, or a palette that shows others.
    """
    try:
        with Image.open(path) as image:
            mask = np.array(image)
            palette = read_palette(image)
    except PILLOW_ERRORS as error:
        reason = unreadable_reason_of(error)
        raise DatasetCheckError(unreadable_sentence(path, reason, role='invalid mask')) from error
    if mask.shape != shape:
        raise DatasetCheckError(
            f'The invalid mask {path!r} has the shape {mask.shape}, its label {shape}: expected one '
            'channel of one size; load the labels after Resize, or set with_uiou=False.'
        )
    wrong = set(np.unique(mask).tolist()) - {0, 1, 255}
    if wrong:
        raise DatasetCheckError(
            f'The invalid mask {path!r} holds the values {sorted(wrong)}: expected 0 (valid) and 1 '
            '(invalid); restore the invIds file, not invGray.'
        )
    if palette and not shows_own_greys(np.unique(mask).tolist(), palette):
        raise DatasetCheckError(
            f'The invalid mask {path!r} holds indices that show other greys: expected every index to be '
            'its own grey (PNG optimisers number them anew); restore the mask from before it was made smaller.'
        )
    return torch.from_numpy(mask == 1)


def _percent(values: np.ndarray) -> tuple[float, ...]:
    return tuple(float(value) * 100 for value in values)
