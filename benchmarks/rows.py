"""Source-only, without CDC and CDS, and full CCDistill over seeds, on mini night or on real frames.

On mini night also the paper's bare projection head.

Writes `<data>.json` (every run) and prints a Markdown table with mean and range. All rows of a seed share one
source-only stage and have equal total length. A finished run is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from benchmarks.stages import ROOT, Stage, evaluate, last_tenth, run_stages, scalars

#: Labelled evaluation sets below `rgb_anon/val` and `gt/val`, per data set.
EVALUATION = {'mini': ('night',), 'camvid': ('night', 'dusk')}


def rows_of(data: str, seed: int, source_iters: int, adapt_iters: int) -> dict[str, Stage]:
    """The stages of one seed, by row; `source` is the shared first stage."""
    source_config = f'configs/refinenet/refinenet_small_{data}.py'
    every = {'model.diagnostics_interval': 10}
    full = f'configs/ccdistill/refinenet_small_{data}_day2night.py'
    baseline = f'configs/ccdistill/ablations/refinenet_small_{data}_day2night_wo-cdc-cds.py'
    folder = f'{data}_seed{seed}'
    source = Stage(f'{folder}/source', source_config, source_iters, seed=seed)
    rows = {
        'source': source,
        'source_only': Stage(f'{folder}/source_only', source_config, adapt_iters, source, seed),
        'wo_cdc_cds': Stage(f'{folder}/wo_cdc_cds', baseline, adapt_iters, source, seed),
        'ccdistill': Stage(f'{folder}/ccdistill', full, adapt_iters, source, seed, every),
    }
    if data == 'mini':
        bare = f'configs/ccdistill/refinenet_small_{data}_day2night_bare-head.py'
        rows['bare_head'] = Stage(f'{folder}/bare_head', bare, adapt_iters, source, seed, every)
    return rows


def test(stage: Stage, work_dir: Path, data: str) -> dict[str, float]:
    """MIoU in percent of one row on each evaluation set."""
    loader = Config.fromfile(str(ROOT / stage.config)).test_dataloader.to_dict()
    results = {}
    for name in EVALUATION[data]:
        loader['dataset']['data_prefix'] = dict(
            img_path=f'rgb_anon/val/{name}', seg_map_path=f'gt/val/{name}'
        )
        results[name] = round(evaluate(stage.config, stage.checkpoint(work_dir), loader)['mIoU'], 2)
    return results


def table(report: dict[str, Any]) -> str:
    """Markdown table: a line per row, a column per evaluation set, mean and range over seeds."""
    seeds = list(report['runs'].values())
    sets = list(seeds[0]['source_only'])
    lines = [
        '| row | ' + ' | '.join(f'{name} mIoU' for name in sets) + ' |',
        '|---' * (len(sets) + 1) + '|',
    ]
    for row in [name for name in seeds[0] if name not in ('source', 'diagnostics')]:
        cells = []
        for name in sets:
            values = [seed[row][name] for seed in seeds]
            cells.append(f'{np.mean(values):.1f} ({min(values):.1f}-{max(values):.1f})')
        lines.append(f'| {row} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def main() -> None:
    """Train and test the rows of every seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', choices=sorted(EVALUATION))
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--source-iters', type=int, default=600)
    parser.add_argument('--adapt-iters', type=int, default=400)
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs/rows')
    args = parser.parse_args()
    runs = {
        seed: rows_of(args.data, seed, args.source_iters, args.adapt_iters) for seed in args.seeds
    }
    stages = [stage for rows in runs.values() for stage in rows.values()]
    run_stages(stages, args.work_dir, jobs=min(os.cpu_count() or 1, 4), threads=1)
    report: dict[str, Any] = {
        'data': args.data,
        'iterations': {'source': args.source_iters, 'adaptation': args.adapt_iters},
        'runs': {},
    }
    for seed, rows in runs.items():
        tested: dict[str, Any] = {
            name: test(stage, args.work_dir, args.data) for name, stage in rows.items()
        }
        tested['diagnostics'] = {
            name: last_tenth(scalars(args.work_dir / stage.name), ('cor.', 'pseudo.'))
            for name, stage in rows.items()
            if 'source' not in name
        }
        report['runs'][str(seed)] = tested
    (args.work_dir / f'{args.data}.json').write_text(json.dumps(report, indent=2) + '\n')
    print(table(report))


if __name__ == '__main__':
    main()
