"""Tables of cost and of groups of classes, and the warning signs, of a hand-made ``results.json``."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adaptation_runs import results_of
from mmseg.utils import get_classes

from benchmarks.adaptation import measure
from benchmarks.adaptation.class_groups import CLASS_GROUPS, class_group_table, group_iou
from benchmarks.adaptation.cost_table import cost_table, time_ratio
from benchmarks.adaptation.facts import notes
from benchmarks.adaptation.measure import largest_share
from benchmarks.adaptation.results import write_report
from benchmarks.adaptation.warning_signs import warning_signs
from benchmarks.step_cost import StepCost


@pytest.fixture
def results() -> dict[str, Any]:
    found = results_of(
        {
            'wo_cdc_cds': {'0': 20.0, '1': 22.0},
            'plus_handover': {'0': 24.0, '1': 25.0},
            'wo_cdc_cds_long': {'0': 21.0},
            'oracle': {'0': 50.0},
        }
    )
    costs = {'wo_cdc_cds': (600, 0.016, 0.05), 'plus_handover': (600, 0.028, 0.11)}
    costs['wo_cdc_cds_long'] = (1050, 0.016, 0.05)
    seconds = {('wo_cdc_cds', '0'): 0.4, ('wo_cdc_cds', '1'): 0.5, ('plus_handover', '0'): 0.8}
    for row, (iters, tflop, gib) in costs.items():
        for seed, run in found['runs'][row].items():
            run.update(iters=iters, cost={'tflop': tflop, 'gib': gib})
            run['step_seconds'] = seconds.get((row, seed))
    return found


def test_costs(results: dict[str, Any]) -> None:
    head, *rows = cost_table(results)
    assert head[:3] == ['row', 'iterations', 'TFLOP per iteration'] and len(head) == 6
    assert rows == [
        ['w/o CDC and CDS', '600', '0.016', '9.6', '0.05', '1.00'],
        ['plus, both learn, L_pseudo handed over', '600', '0.028', '16.8', '0.11', '2.00'],
        ['w/o CDC and CDS, compute of plus_handover', '1050', '0.016', '16.8', '0.05', ''],
    ]
    assert time_ratio(results, 'oracle') is None
    assert len(cost_table(results_of({'full': {'0': 20.0}}))) == 1


def test_a_row_of_equal_compute_is_named(results: dict[str, Any], tmp_path: Path) -> None:
    sentence = (
        "Not so 'w/o CDC and CDS, compute of plus_handover': it trains 1050 iterations, which take as many FLOP as "
        "the 600 of 'plus, both learn, L_pseudo handed over'."
    )
    assert notes(results)[1] == sentence
    del results['runs']['wo_cdc_cds_long']
    assert sentence not in notes(results)


def test_every_class_is_in_one_group() -> None:
    names = [name for group in CLASS_GROUPS.values() for name in group]
    assert sorted(names) == sorted(get_classes('cityscapes'))
    assert [list(get_classes('cityscapes')).index(n) for n in CLASS_GROUPS['vehicles']] == [
        *range(13, 17)
    ]


def test_groups_by_hand(results: dict[str, Any]) -> None:
    """A class without pixels in the labels does not count, whatever was predicted."""
    for row, iou in (('wo_cdc_cds', (40.0, 10.0, 30.0)), ('plus_handover', (42.0, 20.0, 30.0))):
        for run in results['runs'][row].values():
            scores = run['sets']['night']
            scores['IoU'] = [None] * 19
            scores['label_pixels'] = [0] * 19
            for index, value in zip((0, 13, 14), iou, strict=True):
                scores['IoU'][index], scores['label_pixels'][index] = value, 5
            scores['IoU'][15] = 0.0
    assert group_iou(results, 'plus_handover', 'night', 'vehicles') == {'0': 25.0, '1': 25.0}
    assert group_iou(results, 'plus_handover', 'night', 'thin and small') == {}
    head, *rows = class_group_table(results, 'night')
    assert head == ['row', 'vehicles', 'large static', 'thin and small']
    table = {row[0]: row[1:] for row in rows}
    assert table['w/o CDC and CDS'] == ['20.0', '40.0', '']
    assert table['plus, both learn, L_pseudo handed over'] == ['25.0 (+5.0)', '42.0 (+2.0)', '']


def test_the_report_shows_them(results: dict[str, Any], tmp_path: Path) -> None:
    results['runs']['plus_handover']['0']['sets']['night']['largest_predicted'] = 0.95
    write_report(results, tmp_path)
    text = (tmp_path / 'results.md').read_text()
    page = (tmp_path / 'index.html').read_text()
    for title in ('Cost', 'Warning signs'):
        assert f'## {title}' in text and title in page
    assert '## Groups of classes on night' in text and 'vehicles' in page
    assert 'one class has 95 % of the predictions' in text and '95 % of the predictions' in page
    with open(tmp_path / 'results.csv', encoding='utf-8') as file:
        assert len(list(csv.reader(file))) > 1


def test_without_a_sign_there_is_no_section(results: dict[str, Any], tmp_path: Path) -> None:
    assert warning_signs(results) == []
    write_report(results, tmp_path, with_page=False)
    assert 'Warning' not in (tmp_path / 'results.md').read_text()


def test_signs_by_hand(results: dict[str, Any]) -> None:
    title = 'plus, both learn, L_pseudo handed over'
    for seed, day in (('0', 38.0), ('1', 41.0)):  # of the baseline 40 and 42
        results['runs']['plus_handover'][seed]['sets']['day (M_d)']['mIoU'] = day
    run = results['runs']['plus_handover']['0']
    run['diagnostics'] = {
        'night.mix_things': 0.02,
        'night.mix_source_things': 0.1,
        'day.mix_things': 0.31,
        'day.mix_source_things': 0.1,
        'night.mix_weight': 0.5,
        'night.mix_confidence': 0.95,
        'pseudo.largest_class': 0.92,
    }
    run['accuracy'] = [[100, 70.0], [200, 75.0], [300, 73.5]]
    assert warning_signs(results) == [
        f'{title}: M_d by day is 1.5 points below that of w/o CDC and CDS (limit 1).',
        f'{title}, seed 0: the labels of T_n call 2.0 % of the pixels dynamic, 0.2 times the share in the source '
        '(expected 0.3 to 3).',
        f'{title}, seed 0: the labels of T_d call 31.0 % of the pixels dynamic, 3.1 times the share in the source '
        '(expected 0.3 to 3).',
        f'{title}, seed 0: the teachers of T_n have a mean confidence of 0.95, and the pixel accuracy has fallen from '
        '75.0 to 73.5 %: it believes its own errors.',
        f'{title}, seed 0: one class has 92 % of the pseudo labels.',
    ]
    # a file of before the confidence was logged
    run['diagnostics'] = {'night.mix_weight': 0.95}
    assert warning_signs(results)[1:] == [
        f'{title}, seed 0: the labels of T_n have a mean weight of 0.95, and the pixel accuracy has fallen from 75.0 '
        'to 73.5 %: it believes its own errors.'
    ]


@pytest.mark.parametrize(
    'diagnostics',
    [
        {'night.mix_things': 0.04, 'night.mix_source_things': 0.1},
        {'night.mix_things': 0.04, 'night.mix_source_things': 0.0},
        {'night.mix_things': 0.04},
        {'night.mix_weight': 0.89},
        {'night.mix_weight': 0.95, 'night.mix_confidence': 0.89},
        {'pseudo.largest_class': 0.9},
    ],
)
def test_within_the_limits_there_is_no_sign(
    diagnostics: dict[str, float], results: dict[str, Any]
) -> None:
    run = results['runs']['plus_handover']['0']
    run['diagnostics'] = diagnostics
    run['accuracy'] = [[100, 75.0], [200, 70.0]]
    assert warning_signs(results) == []


def test_a_loss_that_reads_values_has_no_cost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(measure, 'row_cost', lambda *_: StepCost(2e12, 3 * 2**30))
    assert measure.counted_cost('a.py', {}, 10) == {'tflop': 2.0, 'gib': 3.0}

    def read_a_value(*_: Any) -> StepCost:
        return StepCost(torch.ones((), device='meta').item(), 0)

    monkeypatch.setattr(measure, 'row_cost', read_a_value)
    assert measure.counted_cost('a.py', {}, 10) is None
    assert capsys.readouterr().out.startswith('The cost of a.py cannot be counted without values')


def test_the_largest_share() -> None:
    images = [
        np.zeros((2, 2), np.uint8),
        np.full((2, 2), 18, np.uint8),
        np.full((1, 2), 18, np.uint8),
    ]
    assert largest_share(images) == pytest.approx(0.6)
