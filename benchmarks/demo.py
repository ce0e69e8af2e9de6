"""`make demo`: render mini night, train source-only, adapt with CCDistill, test at night, draw the panel.

Three runs of one length start from one source-only stage: more source-only training, pseudo labels
alone, and the full method. On a CPU two runs share the machine, one thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import cv2
import mmcv
import mmengine
import mmseg
import numpy as np
import torch
from mmengine.config import Config
from mmseg.utils import get_classes, get_palette

from benchmarks.checkpoint_scores import evaluate
from benchmarks.repository import ROOT
from benchmarks.stages import Stage, run_stages
from benchmarks.training_log import last_tenth, scalars
from mmseg_ccdistill import __version__
from mmseg_ccdistill.mini_night import write_mini_night
from mmseg_ccdistill.visualization.panel import colorize, panel, write_image
from mmseg_ccdistill.visualization.scene_comparison import mean_iou

SOURCE_CONFIG = 'configs/refinenet/refinenet_small_mini.py'
FULL_CONFIG = 'configs/ccdistill/refinenet_small_mini_day2night.py'
PSEUDO_CONFIG = 'configs/ccdistill/ablations/refinenet_small_mini_day2night_wo-cdc-cds.py'

#: Iterations of the source-only stage and of one adaptation.
SOURCE_ITERS, ADAPT_ITERS = 900, 400

#: The runs that are compared, with their titles in the panel.
COLUMNS = {
    'source_only': 'Source only',
    'pseudo_label_only': 'w/o CDC and CDS',
    'ccdistill': 'CCDistill',
}

#: Evaluation scenes of the panel, by index in the sorted list.
SCENES = (0, 7, 14, 21, 28, 35)


def build_stages(source_iters: int, adapt_iters: int, seed: int) -> dict[str, Stage]:
    """The runs of the demo, by name."""
    source = Stage('source', SOURCE_CONFIG, source_iters, seed=seed)
    return {
        'source': source,
        'ccdistill': Stage(
            'ccdistill', FULL_CONFIG, adapt_iters, source, seed, {'model.diagnostics_interval': 10}
        ),
        'pseudo_label_only': Stage('pseudo_label_only', PSEUDO_CONFIG, adapt_iters, source, seed),
        'source_only': Stage('source_only', SOURCE_CONFIG, adapt_iters, source, seed),
    }


def draw_panel(
    path: Path, results: dict[str, dict[str, Any]], scenes: dict[str, list[float]]
) -> None:
    """Night input, ground truth and predictions of the three runs for the fixed scenes (the paper's Fig. 3).

    Row titles give the scene's mIoU of the three.
    """
    base = results['source_only']
    palette = get_palette('cityscapes')
    rows = [
        [
            mmcv.imread(base['images'][i]),
            colorize(base['labels'][i], palette),
            *(colorize(results[name]['predictions'][i], palette) for name in COLUMNS),
        ]
        for i in SCENES
    ]
    by_scene = zip(*(scenes[name] for name in COLUMNS), strict=True)
    titles = [' / '.join(f'{value:.0f}' for value in values) for values in by_scene]
    columns = ['Night input', 'Ground truth', *COLUMNS.values()]
    classes = get_classes('cityscapes')
    write_image(path, panel(rows, columns, titles, (320, 180), classes=classes, palette=palette))


def main() -> None:
    """Run the demo and write ``summary.json`` and ``panel.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs/demo')
    parser.add_argument('--source-iters', type=int, default=SOURCE_ITERS)
    parser.add_argument('--adapt-iters', type=int, default=ADAPT_ITERS)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    args.work_dir = args.work_dir.resolve()  # the stages run elsewhere
    begin = time.monotonic()
    cores = os.cpu_count() or 1
    gpu = torch.cuda.is_available()

    write_mini_night(ROOT / 'data/mini_night')
    rendered = time.monotonic()
    stages = build_stages(args.source_iters, args.adapt_iters, args.seed)
    run_stages([stages['source']], args.work_dir, jobs=1, threads=cores)
    run_stages(list(stages.values()), args.work_dir, jobs=1 if gpu else min(cores, 2), threads=1)

    torch.set_num_threads(cores)
    cfg = Config.fromfile(str(ROOT / FULL_CONFIG))
    results = {
        name: evaluate(stage.config, stage.checkpoint(args.work_dir), cfg.test_dataloader)
        for name, stage in stages.items()
    }
    scenes = {
        name: [
            mean_iou(results[name]['predictions'][i], results[name]['labels'][i], 19)
            for i in SCENES
        ]
        for name in COLUMNS
    }
    diagnostics = last_tenth(scalars(args.work_dir / 'ccdistill'), ('cor.', 'pseudo.'))
    summary = {
        'source_only_miou': results['source_only']['mIoU'],
        'pseudo_label_only_miou': results['pseudo_label_only']['mIoU'],
        'ccdistill_miou': results['ccdistill']['mIoU'],
        'source_stage_miou': results['source']['mIoU'],
        'iterations': {'source': args.source_iters, 'adaptation': args.adapt_iters},
        'seed': args.seed,
        'scenes': {'index': SCENES, **scenes},
        'scenes_better': {
            name: int(np.sum(np.array(scenes['ccdistill']) > np.array(scenes[name])))
            for name in ('source_only', 'pseudo_label_only')
        },
        'diagnostics': diagnostics,
        'seconds': round(time.monotonic() - begin, 1),
        'seconds_by_part': {
            'render': round(rendered - begin, 1),
            **{name: round(stage.seconds(args.work_dir), 1) for name, stage in stages.items()},
        },
        'device': torch.cuda.get_device_name(0) if gpu else f'cpu, {cores} cores',
        'versions': {
            'mmseg_ccdistill': __version__,
            'torch': torch.__version__,
            'mmengine': mmengine.__version__,
            'mmcv': mmcv.__version__,
            'mmseg': mmseg.__version__,
            'numpy': np.__version__,
            'cv2': cv2.__version__,
        },
    }
    draw_panel(args.work_dir / 'panel.png', results, scenes)
    (args.work_dir / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    better = summary['scenes_better']
    print(
        f'night mIoU: source-only {summary["source_only_miou"]:.1f}, w/o CDC and CDS '
        f'{summary["pseudo_label_only_miou"]:.1f}, CCDistill {summary["ccdistill_miou"]:.1f}; CCDistill is better than '
        f'source-only in {better["source_only"]} of {len(SCENES)} scenes, than w/o CDC and CDS in '
        f'{better["pseudo_label_only"]}; {summary["seconds"]:.0f} s on '
        f'{summary["device"]}\n{args.work_dir / "summary.json"}\n{args.work_dir / "panel.png"}'
    )


if __name__ == '__main__':
    main()
