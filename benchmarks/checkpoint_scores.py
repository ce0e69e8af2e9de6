"""Scores of a checkpoint on a labelled set, and what a constant prediction would reach there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.apis import init_model

from benchmarks.repository import ROOT
from mmseg_ccdistill.engine.inference import predict_batches
from mmseg_ccdistill.evaluation import NightIoUMetric


def evaluate(
    config: str,
    checkpoint: Path,
    dataloader: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Test one checkpoint on one labelled set.

    Args:
        config (str): Config file, absolute or relative to the repository.
        checkpoint (Path): Checkpoint of that config.
        dataloader (dict): Config of the test dataloader.
        options (dict, optional): Config overrides. Defaults to None.

    Returns:
        dict: ``mIoU`` (percent, as mmseg's ``IoUMetric`` has it), ``report`` (``SetReport`` with the scores of the
        classes), ``predictions`` and ``labels``: lists of uint8 ``(H, W)`` maps in the order of the dataset, and
        ``images``: their paths.
    """
    cfg = Config.fromfile(str(ROOT / config))
    cfg.merge_from_dict(dict(options or {}))
    init_default_scope('mmseg')
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    model = init_model(cfg, str(checkpoint), device=device)
    loader = Runner.build_dataloader(dict(dataloader))
    metric = NightIoUMetric()
    evaluator = Evaluator(metric)
    evaluator.dataset_meta = loader.dataset.metainfo
    predictions, labels, images = [], [], []
    for batch, outputs in predict_batches(model, loader):
        evaluator.process(outputs, batch)
        for sample in outputs:
            predictions.append(sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8))
            labels.append(sample.gt_sem_seg.data[0].cpu().numpy().astype(np.uint8))
            images.append(sample.img_path)
    metrics = evaluator.evaluate(len(loader.dataset))
    return dict(
        mIoU=float(metrics['mIoU']),
        report=metric.report,
        predictions=predictions,
        labels=labels,
        images=images,
    )


def best_constant_miou(labels: Sequence[np.ndarray], num_classes: int = 19) -> float:
    """MIoU in percent of the best prediction of one class everywhere (absent classes count only if predicted)."""
    pixels = np.concatenate([label[label < num_classes] for label in labels])
    counts = np.bincount(pixels, minlength=num_classes)
    present = max(int((counts > 0).sum()), 1)
    return float(100 * counts.max() / counts.sum() / present)
