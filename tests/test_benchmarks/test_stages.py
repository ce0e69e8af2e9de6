from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from benchmarks.checkpoint_scores import best_constant_miou
from benchmarks.short_training import falls
from benchmarks.stages import Stage
from mmseg_ccdistill.reports.training_log import last_tenth, scalars
from mmseg_ccdistill.visualization.scene_comparison import mean_iou


def test_scene_miou_by_hand() -> None:
    """Class 0: 1 hit in a union of 2; class 1: 2 hits in a union of 3; 255 does not count."""
    label = np.array([[0, 0, 1, 1, 255]], np.uint8)
    prediction = np.array([[0, 1, 1, 1, 7]], np.uint8)
    assert mean_iou(prediction, label, 19) == pytest.approx(100 * (1 / 2 + 2 / 3) / 2)
    assert np.isnan(mean_iou(prediction, np.full_like(label, 255), 19))


def test_scene_miou_is_mmsegs_where_nothing_absent_is_predicted() -> None:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 19, (40, 40)).astype(np.uint8)
    prediction = np.where(
        generator.random((40, 40)) < 0.5, label, generator.integers(0, 19, (40, 40))
    )
    areas = IoUMetric.intersect_and_union(
        torch.from_numpy(prediction.astype(np.int64)),
        torch.from_numpy(label.astype(np.int64)),
        19,
        255,
    )
    expected = 100 * (areas[0] / areas[1]).mean().item()
    assert mean_iou(prediction.astype(np.uint8), label, 19) == pytest.approx(expected, rel=1e-5)


def test_best_constant_by_hand() -> None:
    """Two of four pixels are class 3: IoU 2/4 there, 0 for the other two present classes."""
    labels = [np.array([[3, 3]], np.uint8), np.array([[5, 9, 255]], np.uint8)]
    assert best_constant_miou(labels) == pytest.approx(100 * 0.5 / 3)


def test_medians_of_the_tenths() -> None:
    rows = [{'loss': float(value), 'cor.x': 1.0} for value in range(20, 0, -1)] + [{'time': 1.0}]
    assert falls(rows, 'loss') == (19.5, 1.5)
    assert last_tenth(rows, ('loss', 'cor.')) == {'loss': 1.5, 'cor.x': 1.0}


def test_scalars_skips_a_line_that_is_being_written(tmp_path: Path) -> None:
    folder = tmp_path / '20260101_000000/vis_data'
    folder.mkdir(parents=True)
    assert scalars(tmp_path) == []
    (folder / 'scalars.json').write_text('{"loss": 1.0, "iter": 1}\n{"loss": 0.')
    assert scalars(tmp_path) == [{'loss': 1.0, 'iter': 1}]


def test_a_stage_counts_as_finished_only_with_its_own_command(tmp_path: Path) -> None:
    config = 'configs/refinenet/refinenet_small_mini.py'
    stage, other_seed = Stage('a', config, 10), Stage('a', config, 10, seed=1)
    assert not stage.finished(tmp_path)
    stage.checkpoint(tmp_path).parent.mkdir(parents=True)
    stage.checkpoint(tmp_path).touch()
    assert not stage.finished(tmp_path)
    record = {'fingerprint': stage.fingerprint(tmp_path), 'seconds': 1.0}
    (tmp_path / 'a/stage.json').write_text(json.dumps(record))
    assert stage.finished(tmp_path) and not other_seed.finished(tmp_path)
    assert stage.seconds(tmp_path) == 1.0
