from __future__ import annotations

from pathlib import Path

import pytest
from mmengine.config import Config

from benchmarks.adaptation.row_configs import row_config
from benchmarks.adaptation.row_costs import equal_length, row_cost
from benchmarks.adaptation.rows import ROWS
from benchmarks.adaptation.seed_runs import seed_runs
from benchmarks.adaptation.suites import CONFIGS, SUITES
from benchmarks.step_cost import StepCost, count_run

MINI = SUITES['mini']

#: RefineNet of configs/_base_/models/refinenet_small.py forward on one 128 x 128 image, and its first convolution
#: (7 x 7, 3 to 32 channels, 64 x 64 outputs): the images need no gradient.
FORWARD, STEM = 789_774_336, 2 * 3 * 32 * 49 * 64 * 64


def count(name: str, iters: int = 10) -> StepCost:
    return count_run(Config.fromfile(str(CONFIGS / MINI.configs[name])), iters)


def test_a_plain_segmentor_by_hand() -> None:
    """Eight images: forward, gradient of the weights, gradient of the inputs but for the first convolution."""
    assert count('source').flops == 8 * (3 * FORWARD - STEM)


def test_the_mean_over_a_hand_over() -> None:
    """Of 20 iterations the weight of self-training is 0 in four, between in two and 1 in fourteen."""
    config = Config.fromfile(str(CONFIGS / MINI.configs['plus']))
    config.merge_from_dict(dict(ROWS['plus_handover'].options))
    assert (config.model.self_training.start, config.model.self_training.ramp) == (0.15, 0.15)
    whole = count_run(config, 20)
    kinds = []
    for changes in (
        dict(start=100, ramp=0),
        dict(start=0, ramp=0, keep_pseudo=True),
        dict(start=0, ramp=0, keep_pseudo=False),
    ):
        config.model.self_training.update(changes)
        kinds.append(count_run(config, 1))
    off, both, alone = (cost.flops for cost in kinds)
    assert off < alone < both
    assert 20 * whole.flops == pytest.approx(4 * off + 2 * both + 14 * alone, rel=1e-12)
    assert whole.saved_bytes == max(cost.saved_bytes for cost in kinds)


def test_equal_compute_by_hand() -> None:
    assert equal_length(StepCost(2.0, 1), StepCost(3.0, 9), 600) == 900
    assert equal_length(StepCost(3.0, 1), StepCost(2.0, 9), 100) == 67
    assert equal_length(StepCost(9e9, 1), StepCost(1.0, 9), 1) == 1


def test_the_long_baseline_spends_what_plus_handover_spends(tmp_path: Path) -> None:
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    rows = ['wo_cdc_cds', 'plus_handover', 'wo_cdc_cds_long']
    trained = seed_runs(MINI, rows, 0, roots, tmp_path, (12, 60)).trained
    assert [trained[name].max_iters for name in rows[:2]] == [60, 60]
    long = trained['wo_cdc_cds_long']
    assert long.config == trained['wo_cdc_cds'].config
    assert {f'train_cfg.max_iters={long.max_iters}', f'param_scheduler.0.end={long.max_iters}'} <= {
        *long.command(tmp_path)
    }
    costs = {
        name: row_cost(row_config(MINI, name, tmp_path / 'configs'), ROWS[name].options, 60)
        for name in rows
    }
    spent = {name: trained[name].max_iters * costs[name].flops for name in rows}
    assert spent['wo_cdc_cds_long'] == pytest.approx(spent['plus_handover'], rel=0.5 / 60)
    assert spent['plus_handover'] > 1.5 * spent['wo_cdc_cds']


def test_options_count() -> None:
    """Without pastes and with the night's own teacher alone a step is cheaper."""
    config = f'configs/{MINI.configs["plus"]}'
    night, own = (
        row_cost(config, {'model.self_training.learners': ('night',), **more}, 10)
        for more in (
            {},
            {'model.self_training.fusion': 'night', 'model.self_training.parallax': None},
        )
    )
    assert night.flops > own.flops


def test_overrides_of_all_stages_count_in_equal_compute(tmp_path: Path) -> None:
    """The products of correlations grow with the square of the crop, all else with the crop."""
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    iters, common = 20_000, {'model.data_preprocessor.size': (256, 256)}
    plain, large = (
        seed_runs(MINI, ['wo_cdc_cds_long'], 0, roots, tmp_path, (12, iters), common=options)
        .trained['wo_cdc_cds_long']
        .max_iters
        for options in ({}, common)
    )
    own, other = (
        row_cost(
            row_config(MINI, name, tmp_path / 'configs'), {**ROWS[name].options, **common}, iters
        )
        for name in ('wo_cdc_cds_long', 'plus_handover')
    )
    assert large == equal_length(own, other, iters) != plain
