"""Is mini night a real adaptation problem? Source-only to its plateau, and what matching LAB statistics wins back.

Writes `gap.json`: mIoU of the source-only model on S by day, T by day, T at night, and T at night with the LAB mean
and standard deviation of every test image set to those of the source images, at three points of the training.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmseg.registry import TRANSFORMS

from benchmarks.checkpoint_scores import evaluate
from benchmarks.repository import ROOT
from benchmarks.stages import Stage, run_stages
from mmseg_ccdistill.datasets.transforms import lab_statistics, lab_transfer
from mmseg_ccdistill.mini_night import write_mini_night

CONFIG = 'configs/refinenet/refinenet_small_mini.py'

#: Shares of the training at which the model is tested; the plateau shows in the last two.
POINTS = (0.5, 0.75, 1.0)


@TRANSFORMS.register_module()
class MatchLABStatistics(BaseTransform):
    """Sets an image's LAB mean and standard deviation to given values.

    Args:
        mean (Sequence[float]): Mean of L, a, b.
        std (Sequence[float]): Population standard deviation of L, a, b.
    """

    def __init__(self, mean: Any, std: Any) -> None:
        self.stats = (np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Transfer ``results['img']``, ``(H, W, 3)`` uint8 BGR."""
        results['img'] = lab_transfer(results['img'], results['img'], reference_stats=self.stats)
        return results


def source_statistics(folder: Path) -> dict[str, Any]:
    """Mean over the images of their LAB means and standard deviations."""
    stats = [lab_statistics(mmcv.imread(str(path))) for path in sorted(folder.rglob('*.png'))]
    return {
        'mean': np.mean([s[0] for s in stats], 0).tolist(),
        'std': np.mean([s[1] for s in stats], 0).tolist(),
    }


def main() -> None:
    """Train, test, write ``gap.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs/mini_night_gap')
    parser.add_argument('--iters', type=int, default=4000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--threads', type=int, default=1, help='CPU threads of the training')
    args = parser.parse_args()
    data = write_mini_night(ROOT / 'data/mini_night')
    points = [round(args.iters * share) for share in POINTS]
    options = {
        'default_hooks.checkpoint.interval': args.iters // 4,
        'default_hooks.checkpoint.max_keep_ckpts': 4,
    }
    stage = Stage('source', CONFIG, args.iters, seed=args.seed, options=options)
    run_stages([stage], args.work_dir, jobs=1, threads=args.threads)

    cfg = Config.fromfile(str(ROOT / CONFIG))
    night, day = cfg.test_dataloader.to_dict(), cfg.test_dataloader.to_dict()
    day['dataset']['data_prefix'] = dict(img_path='rgb_anon/val/day', seg_map_path='gt/val/day')
    matched = cfg.test_dataloader.to_dict()
    pipeline = matched['dataset']['pipeline']
    stats = source_statistics(Path(data) / 'cityscapes/leftImg8bit/train')
    matched['dataset']['pipeline'] = [
        *pipeline[:2],
        dict(type='MatchLABStatistics', **stats),
        *pipeline[2:],
    ]
    loaders = {
        'source_day': cfg.val_dataloader.to_dict(),
        'target_day': day,
        'target_night': night,
        'target_night_lab_matched': matched,
    }
    report = {
        str(point): {
            name: evaluate(CONFIG, args.work_dir / f'source/iter_{point}.pth', loader)['mIoU']
            for name, loader in loaders.items()
        }
        for point in points
    }
    (args.work_dir / 'gap.json').write_text(json.dumps(report, indent=2) + '\n')
    for point, row in report.items():
        print(point, ' '.join(f'{name} {value:.1f}' for name, value in row.items()))


if __name__ == '__main__':
    main()
