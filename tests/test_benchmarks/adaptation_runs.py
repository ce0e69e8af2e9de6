"""A hand-made `results.json` of the adaptation suite."""

from __future__ import annotations

import copy
from typing import Any

from benchmarks.adaptation.results import describe, sum_up

CLASSES = 19
LOSSES = (
    'source_day.loss_seg',
    'source_night.loss_seg',
    'target_night.loss_pseudo',
    'cross.loss_cdc_js',
    'cross.loss_cdc_illu',
    'cross.loss_cdc_in',
    'cross.loss_cds',
)


def run_of(miou: float, row: str) -> dict[str, Any]:
    """One run: class 0 has the IoU ``miou``, class 1 half of it, class 2 has no pixel but is predicted."""
    one_network = row in ('source_only', 'oracle')
    scores = {
        'mIoU': miou,
        'mIoU_present': miou,
        'images': 40,
        'IoU': [miou, miou / 2, 0.0, *[None] * (CLASSES - 3)],
        'label_pixels': [100, 50, *[0] * (CLASSES - 2)],
    }
    terms = ['decode.loss_seg'] if one_network else LOSSES
    run = {
        'sets': {'night': scores, 'day (M_d)': {**copy.deepcopy(scores), 'mIoU': miou + 20}},
        'curve': [[100 * k, miou - 12 / k] for k in range(1, 7)],
        'losses': {
            term: [[10 * k, 2 / k + 0.01 * len(row)] for k in range(1, 60)] for term in terms
        },
        'diagnostics': {} if one_network else {'pseudo.share': 0.8, 'pseudo.largest_class': 0.4},
        'code': [{'commit': 'a' * 40, 'dirty': False}],
        'seconds': 100.0,
        'measuring_seconds': 10.0,
    }
    if row in ('full', 'matched'):
        edges = [round(-1 + 0.05 * k, 4) for k in range(41)]
        maps = ('illu_source', 'illu_target', 'in_day', 'in_night')
        run['correlations'] = {
            'edges': edges,
            'start': {name: [40 - k for k in range(40)] for name in maps},
            'end': {name: list(range(40)) for name in maps},
        }
    return run


def results_of(mious: dict[str, dict[str, float]], **settings: Any) -> dict[str, Any]:
    """Results with the given night mIoU by row and seed."""
    lengths = {'source_iters': 1200, 'adapt_iters': 600, 'first_world': 900, 'share': 1.0}
    results = describe(
        'mini', 'mini night: rendered streets', {**lengths, **settings}, 'python -m x'
    )
    for row, by_seed in mious.items():
        results['runs'][row] = {seed: run_of(miou, row) for seed, miou in by_seed.items()}
        for seed in by_seed:
            results['worlds'][seed] = 900 + int(seed)
            results['sources'][seed] = {
                'fingerprint': f'source of {seed}',
                'seconds': 300.0,
                'code': [{'commit': 'a' * 40, 'dirty': False}],
            }
    return sum_up(results)
