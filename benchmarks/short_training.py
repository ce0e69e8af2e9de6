"""A short training on mini night and on real frames that fails unless it learns; continuous integration runs it.

Checks per data set: the medians of L_seg and L_pseudo over the last tenth of the adaptation are below those of the
first tenth; night mIoU is above source-only (same total length) and at least twice the best constant prediction.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from benchmarks.checkpoint_scores import best_constant_miou, evaluate
from benchmarks.repository import ROOT
from benchmarks.stages import Stage, run_stages
from mmseg_ccdistill.mini_night import write_mini_night
from mmseg_ccdistill.reports.training_log import scalars

#: Loss terms that have to fall.
FALLING = ('source_day.loss_seg', 'source_night.loss_seg', 'target_night.loss_pseudo')


def falls(rows: list[dict[str, Any]], key: str) -> tuple[float, float]:
    """Medians of a logged value over the first and the last tenth of a run."""
    values = [row[key] for row in rows if key in row]
    tenth = max(len(values) // 10, 1)
    return float(np.median(values[:tenth])), float(np.median(values[-tenth:]))


def stages(name: str, source_iters: int, adapt_iters: int) -> tuple[Stage, Stage]:
    """Source-only, trained on, and CCDistill, of the small network on one data set.

    Args:
        name: Suffix of the small configs, ``'mini'`` or ``'camvid'``.
        source_iters: Iterations of the source-only stage, from which both start.
        adapt_iters: Iterations of each.
    """
    source_config = f'configs/refinenet/refinenet_small_{name}.py'
    full_config = f'configs/ccdistill/refinenet_small_{name}_day2night.py'
    # One value per iteration: the checks take medians themselves.
    every = {'default_hooks.logger.interval': 1, 'log_processor.window_size': 1}
    source = Stage(f'{name}/source', source_config, source_iters)
    return (
        Stage(f'{name}/source_only', source_config, adapt_iters, source),
        Stage(f'{name}/ccdistill', full_config, adapt_iters, source, options=every),
    )


def check(
    name: str, source_only: Stage, full: Stage, work_dir: Path
) -> tuple[dict[str, Any], list[str]]:
    """Test what was trained on one data set.

    Args:
        name: Of the data set.
        source_only: Trained on without adaptation.
        full: CCDistill.
        work_dir: Folder of the runs.

    Returns:
        The measured values, and a sentence per failed check.
    """
    loader = Config.fromfile(str(ROOT / full.config)).test_dataloader
    before, after = (
        evaluate(stage.config, stage.checkpoint(work_dir), loader) for stage in (source_only, full)
    )
    constant = best_constant_miou(after['labels'])
    rows = scalars(work_dir / full.name)
    report: dict[str, Any] = {
        'source_only_miou': before['mIoU'],
        'ccdistill_miou': after['mIoU'],
        'best_constant_miou': constant,
        'medians': {key: falls(rows, key) for key in FALLING},
    }
    failures = [
        f'{name}: {key} does not fall ({first:.3f} to {last:.3f})'
        for key, (first, last) in report['medians'].items()
        if not last < first
    ]
    if not report['ccdistill_miou'] > report['source_only_miou']:
        failures.append(f'{name}: CCDistill is not above source-only')
    if not report['ccdistill_miou'] >= 2 * constant:
        failures.append(f'{name}: CCDistill is not at twice the best constant prediction')
    return report, failures


def main() -> int:
    """Run the checks; 1 if one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs/short_training')
    parser.add_argument('--source-iters', type=int, default=300)
    parser.add_argument('--adapt-iters', type=int, default=200)
    args = parser.parse_args()
    write_mini_night(ROOT / 'data/mini_night')
    names = ['mini']
    if (ROOT / 'data/camvid').is_dir():
        names.append('camvid')
    else:
        print('data/camvid is not there: the real frames are left out')
    failures = []
    run_dir = args.work_dir / time.strftime(
        '%Y%m%d_%H%M%S'
    )  # earlier checkpoints are never taken for new ones
    trained = {name: stages(name, args.source_iters, args.adapt_iters) for name in names}
    wanted = [
        part
        for source_only, full in trained.values()
        for part in (source_only.start, full, source_only)
    ]
    jobs = 1 if torch.cuda.is_available() else os.cpu_count() or 1
    run_stages([stage for stage in wanted if stage], run_dir, jobs=jobs, threads=1)
    for name, (source_only, full) in trained.items():
        report, failed = check(name, source_only, full, run_dir)
        print(name, json.dumps(report, indent=2), flush=True)
        failures += failed
    for failure in failures:
        print(f'FAILED {failure}', file=sys.stderr)
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
