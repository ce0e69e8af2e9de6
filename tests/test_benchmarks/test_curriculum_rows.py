"""Rows that train in stages: their data, lengths and start, and what a killed one does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
from adaptation_runs import results_of
from mmengine.config import Config

from benchmarks import stages as stage_runs
from benchmarks.adaptation import needs
from benchmarks.adaptation.curriculum_rows import CurriculumRun, split
from benchmarks.adaptation.facts import notes
from benchmarks.adaptation.rows import RIVALS, TWILIGHT, add_variants
from benchmarks.adaptation.seed_runs import seed_runs
from benchmarks.adaptation.suites import SUITES
from benchmarks.stages import Stage, run_stages
from mmseg_ccdistill.engine.curriculum_plan import read_plan
from mmseg_ccdistill.errors import UserInputError

ROWS = {'bdl_lab': ('ssl0', 'ssl1'), 'dmada': ('twilight', 'night'), 'gcma': ('day', 'twilight')}
ROWS['mgcda'] = ROWS['gcma']


def place(folder: Path) -> dict[str, Path]:
    """Folders and lists of a world, with one empty image of each light."""
    roots = {part: folder / 'world' / part for part in ('cityscapes', 'dark_zurich')}
    for light in ('day', 'night', 'twilight'):
        images = roots['dark_zurich'] / 'rgb_anon/train' / light / 'A'
        images.mkdir(parents=True)
        (images / 'a_rgb_anon.png').touch()
    roots['cityscapes'].mkdir()
    lists = roots['dark_zurich'] / 'lists'
    lists.mkdir()
    (lists / 'zurich_dn_pair_train.csv').write_text('train/night/A/a,train/day/A/a\n')
    pairs = roots['dark_zurich'] / 'corresp/train/twilight'
    pairs.mkdir(parents=True)
    (pairs / 'A.csv').write_text('train/twilight/A/a,train/day/A/a\n')
    return roots


def runs(
    folder: Path, suite: str = 'mini', rows: Any = tuple(ROWS), length: int = 61
) -> dict[str, Stage]:
    """The trainings of a seed whose source stage is there."""
    roots = {part: folder / 'world' / part for part in ('cityscapes', 'dark_zurich')}
    found = seed_runs(SUITES[suite], rows, 3, roots, folder, (12, length))
    source = found.source.checkpoint(folder)
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_bytes(b'weights')
    return dict(found.trained)


@pytest.mark.parametrize(
    ('suite', 'row'),
    [*((suite, row) for suite in ('mini', 'pretrained', 'cs2dz') for row in ROWS), ('real', 'bdl_lab')],
)  # fmt: skip
def test_the_stages_have_the_data_the_start_and_the_length_of_the_row(
    tmp_path: Path, suite: str, row: str
) -> None:
    place(tmp_path)
    run = runs(tmp_path, suite, [row])[row]
    assert isinstance(run, CurriculumRun) and run.max_iters == 61 and run.seed == 3
    plan = read_plan(run.config, tmp_path / run.name)
    trainings = [stage for stage in plan if stage.is_training]
    assert tuple(stage.name for stage in trainings) == ROWS[row]
    assert run.checkpoint(tmp_path) == plan[-1].product
    source = str(tmp_path / 'seed3/source/iter_12.pth')
    assert trainings[0].checkpoint == source
    assert trainings[1].checkpoint == (source if row == 'bdl_lab' else str(trainings[0].product))
    lengths = [stage.options['train_cfg.max_iters'] for stage in trainings]
    assert sum(lengths) == 61 and max(lengths) - min(lengths) == 1  # equal shares
    for stage in plan:
        config = Config.fromfile(stage.config)
        config.merge_from_dict(dict(stage.options))
        own = str(
            {part: config[f'{part}_dataloader'].to_dict() for part in ('train', 'val', 'test')}
        )
        assert "'data/" not in own, stage.name
        assert all(str(tmp_path) in path for path in [stage.images] if path)
        if stage.is_training:
            assert stage.options['randomness.seed'] == 3 and 'load_from' not in stage.options
            assert stage.options['default_hooks.checkpoint.interval'] <= max(lengths)
            assert config.param_scheduler[0].end in lengths
            assert config.default_hooks.checkpoint.get('save_optimizer', True)
    if row in ('gcma', 'mgcda'):
        assert plan[2].refine['guide'] == source
        assert plan[2].refine['pairs'].startswith(str(tmp_path))


def test_only_the_night_systems_need_twilight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(
        needs, 'write_mini_night', lambda *_, **options: asked.append(options.get('twilight'))
    )
    args = argparse.Namespace(work_dir=tmp_path, first_world=1, share=1.0, seeds=[0])
    for name in RIVALS:
        needs.render_worlds(args, SUITES['mini'], ['full', name])
    assert asked == [True if name in TWILIGHT else None for name in RIVALS]
    add_variants({'x:gcma': {'model.part_weights.day': '2.0'}})
    needs.render_worlds(args, SUITES['mini'], ['x'])
    assert asked[-1] is True


def test_missing_twilight_is_named_before_the_source_stage(tmp_path: Path) -> None:
    roots = place(tmp_path)
    dusk = roots['dark_zurich'] / 'rgb_anon/train/twilight'
    dusk.rename(tmp_path / 'elsewhere')
    with pytest.raises(UserInputError) as caught:
        needs.check_roots(SUITES['cs2dz'], roots, ['full', 'dmada', 'mgcda'])
    assert str(caught.value) == (
        f'the folder {str(dusk)!r} does not exist: expected the twilight images and their day correspondences, which '
        'dmada, mgcda read (docs/curriculum.md); unpack them there, or leave these rows out'
    )


def test_a_variant_changes_every_training(tmp_path: Path) -> None:
    place(tmp_path)
    add_variants({'x:dmada': {'train_dataloader.batch_size': '1'}})
    changed, usual = (runs(tmp_path, rows=[name])[name] for name in ('x', 'dmada'))
    for run, size in ((changed, 1), (usual, None)):
        plan = read_plan(run.config, tmp_path / run.name)
        sizes = [s.options.get('train_dataloader.batch_size') for s in plan if s.is_training]
        assert sizes == [size, size]
    assert changed.fingerprint(tmp_path) != usual.fingerprint(tmp_path)


def test_other_lengths_are_another_run_and_where_it_lies_is_not(tmp_path: Path) -> None:
    prints = []
    for name, length in (('a', 61), ('b', 61), ('c', 60)):
        folder = tmp_path / name
        folder.mkdir()
        run = runs(folder, rows=['dmada'], length=length)['dmada']
        prints.append(run.fingerprint(folder))
    assert prints[0] == prints[1] != prints[2]


def test_a_killed_row_goes_on_in_its_folder_and_its_time_adds_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a program in place of tools/curriculum.py that dies in its second stage the first time."""
    monkeypatch.setattr(stage_runs, 'POLL_SECONDS', 0.02)
    tool = tmp_path / 'tools/curriculum.py'
    tool.parent.mkdir()
    tool.write_text(
        'import os, pathlib, sys, time\n'
        'time.sleep(0.2)\n'
        'run = pathlib.Path(sys.argv[sys.argv.index("--work-dir") + 1])\n'
        'assert "--resume" not in sys.argv\n'
        'begun = (run / "twilight.json").exists()\n'
        '(run / "twilight.json").write_text("{}")\n'
        'if not begun:\n'
        '    os.kill(os.getpid(), 9)\n'
        'log = run / "night/1/vis_data/scalars.json"\n'
        'log.parent.mkdir(parents=True)\n'
        'log.write_text("{\\"iter\\": 30}")\n'
        '(run / "night/iter_30.pth").touch()\n'
    )
    run = runs(tmp_path, rows=['dmada'], length=60)['dmada']
    monkeypatch.setattr('benchmarks.adaptation.curriculum_rows.ROOT', tmp_path)
    monkeypatch.setattr(CurriculumRun, 'fingerprint', lambda self, work_dir: 'same')
    source = run.start
    assert source is not None
    monkeypatch.setattr(type(source), 'finished', lambda self, work_dir: self is source)
    with pytest.raises(RuntimeError, match='stage seed3/dmada failed'):
        run_stages([run], tmp_path, 1, 1)
    assert run.has_begun(tmp_path)
    assert run_stages([run], tmp_path, 1, 1) == {}
    assert not list(tmp_path.glob('seed3/dmada.*')) and run.steps_done(tmp_path) == 30
    assert run.seconds(tmp_path) > 0.2 and len(run.code(tmp_path)) == 1


def test_the_report_says_what_is_equal() -> None:
    with_stages = notes(
        results_of({'full': {'0': 30.0}, 'dmada': {'0': 30.0}, 'gcma': {'0': 31.0}})
    )
    assert (
        'DMAda, GCMA: trained in stages, whose iterations together are as many as those of the other rows; labelling '
        'is not counted. Curve, loss terms and cost are those of the last training.'
    ) in with_stages
    assert not any('in stages' in line for line in notes(results_of({'full': {'0': 30.0}})))


@pytest.mark.parametrize(
    ('total', 'shares', 'parts'),
    [(60, (600, 600), [30, 30]), (61, (600, 600), [30, 31]), (7, (1, 2, 4), [1, 2, 4]), (1, (1, 1), [1, 1])],
)  # fmt: skip
def test_the_length_is_split_in_the_ratio_of_the_shares(
    total: int, shares: tuple[int, ...], parts: list[int]
) -> None:
    assert split(total, shares) == parts
