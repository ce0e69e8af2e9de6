"""The suite's command line, its scheduling and, marked slow, a whole run."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from layouts import make_cityscapes, make_dark_zurich

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import stages  # noqa: E402
from benchmarks.adaptation import estimate, main, parse_args, plan  # noqa: E402
from benchmarks.adaptation_measure import thin_out, training_facts  # noqa: E402
from benchmarks.stages import Stage, history, run_stages  # noqa: E402
from mmseg_ccdistill.engine.launch import UserInputError, run_main  # noqa: E402

CONFIG = 'configs/refinenet/refinenet_small_mini.py'


@dataclass(frozen=True, eq=False)
class Script(Stage):
    """A stage that runs a line of Python in its own folder instead of a training."""

    line: str = 'pass'

    def product(self, work_dir: Path) -> Path:
        return work_dir / self.name / 'product'

    def command(self, work_dir: Path) -> list[str]:
        return [sys.executable, '-c', f'folder = {str(work_dir / self.name)!r}; {self.line}']


COUNT = "open(folder + '/runs', 'a').write('x'); open(folder + '/product', 'w').close()"
FAIL = "raise SystemExit('no luck')"


def script(name: str, line: str = COUNT, start: Stage | None = None, **kwargs: Any) -> Script:
    return Script(name, CONFIG, 1, start, line=line, **kwargs)


@pytest.fixture(autouse=True)
def short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, 'POLL_SECONDS', 0.02)


def runs(work_dir: Path, name: str) -> int:
    return len((work_dir / name / 'runs').read_text())


def exit_code(*arguments: Any) -> int:
    return run_main(lambda: main(list(map(str, arguments))))


# --- scheduling -------------------------------------------------------------------------------


def test_a_finished_stage_is_not_run_again_and_a_changed_one_is(tmp_path: Path) -> None:
    first, second = script('a'), script('b')
    for _ in range(2):
        assert run_stages([first, second], tmp_path, jobs=2, threads=1) == {}
    assert runs(tmp_path, 'a') == runs(tmp_path, 'b') == 1
    other = script('a', data='another world')
    run_stages([other, second], tmp_path, jobs=2, threads=1)
    assert runs(tmp_path, 'a') == 2 and runs(tmp_path, 'b') == 1
    run_stages([script('b', start=other)], tmp_path, jobs=2, threads=1)
    assert runs(tmp_path, 'b') == 2  # what it starts from has changed
    (tmp_path / 'b/stage.json').write_text('{"finger')  # killed while it was written
    run_stages([script('b', start=other)], tmp_path, jobs=1, threads=1)
    assert runs(tmp_path, 'b') == 3


def test_the_place_of_the_work_dir_makes_no_difference(tmp_path: Path) -> None:
    stage = Stage('a', CONFIG, 10, Stage('b', CONFIG, 5), 1, {'x': 2})
    assert stage.fingerprint(tmp_path / 'one') == stage.fingerprint(tmp_path / 'two')
    longer = Stage('a', CONFIG, 10, Stage('b', CONFIG, 6), 1, {'x': 2})
    assert stage.fingerprint(tmp_path) != longer.fingerprint(tmp_path)


def test_a_failed_row_leaves_the_others_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    bad, good = script('bad', FAIL), script('good')
    after = script('after', start=bad)
    last = script('last', start=after)
    ended: dict[str, str] = {}
    todo = [bad, after, last, good]
    failed = run_stages(todo, tmp_path, 1, 1, lambda stage, text: ended.update({stage.name: text}))
    assert set(failed) == {bad, after, last} and ended['good'] == ''
    assert 'no luck' in failed[bad] and 'left out: bad failed' in failed[after]
    assert 'left out: after failed' in failed[last]
    assert runs(tmp_path, 'good') == 1 and not (tmp_path / 'after').exists()
    with pytest.raises(RuntimeError, match='no luck'):
        run_stages([bad], tmp_path, 1, 1)


def test_processes_share_the_gpus_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '4,7')
    line = (
        "import os, time; open(folder + '/product', 'w').write(os.environ['CUDA_VISIBLE_DEVICES']);"
        ' time.sleep(0.3)'
    )
    todo = [script(name, line) for name in 'abcd']
    run_stages(todo, tmp_path, jobs=2, threads=1)
    found = [(tmp_path / name / 'product').read_text() for name in 'abcd']
    assert sorted(found[:2]) == ['4', '7'] == sorted(found[2:])
    assert stages.processes_at_a_time() == 2


def test_a_long_training_goes_on_from_its_newest_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command of a training that was cut short says --resume; one of other settings begins anew."""
    started: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], **_: Any) -> None:
            started.append(command)

    monkeypatch.setattr(stages.subprocess, 'Popen', Process)
    stage = Stage('long', CONFIG, 9, resumable=True)
    stages._launch(stage, tmp_path, 0, 1, 0)
    stages._launch(stage, tmp_path, 0, 1, 0)  # no checkpoint yet
    choice = stages.newest_good_checkpoint(str(tmp_path))._replace(checkpoint=Path('iter_3.pth'))
    monkeypatch.setattr(stages, 'newest_good_checkpoint', lambda folder: choice)
    stages._launch(stage, tmp_path, 0, 1, 0)
    assert ['--resume' in command for command in started] == [False, False, True]
    assert started[2][1:4] == [str(ROOT / 'tools/train.py'), str(ROOT / CONFIG), '--resume']
    (tmp_path / 'long/iter_3.pth').touch()
    stages._launch(Stage('long', CONFIG, 8, resumable=True), tmp_path, 0, 1, 0)
    assert '--resume' not in started[3] and not (tmp_path / 'long/iter_3.pth').exists()
    assert len(list(tmp_path.glob('long.*/iter_3.pth'))) == 1  # nothing is lost


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    """Not even when the first one was killed and only a stage of it lives on."""
    with stages._own(tmp_path) as lock:
        stage = script('a', 'import time; time.sleep(60)')
        left_behind = stages._launch(stage, tmp_path, 0, 1, lock)
    try:
        with pytest.raises(UserInputError, match='is in use by another run'):
            run_stages([script('b')], tmp_path, 1, 1)
    finally:
        left_behind.kill()
        left_behind.wait()
    run_stages([script('b')], tmp_path, 1, 1)
    assert runs(tmp_path, 'b') == 1


# --- what a training has logged ---------------------------------------------------------------


def write_log(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    (folder / name / 'vis_data').mkdir(parents=True)
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    (folder / name / 'vis_data/scalars.json').write_text(text)


def test_history_joins_a_resumed_run_and_leaves_out_one_that_began_anew(tmp_path: Path) -> None:
    def rows(first: int, last: int, value: float) -> list[dict[str, Any]]:
        return [{'loss': value, 'step': step} for step in range(first, last + 1, 10)]

    write_log(tmp_path, '20260101_000000', rows(10, 90, 9.0))  # began anew afterwards
    write_log(tmp_path, '20260102_000000', rows(10, 50, 1.0))
    write_log(tmp_path, '20260103_000000', [*rows(40, 60, 2.0), {'mIoU': 5.0, 'step': 60}])
    found = history(tmp_path)
    assert [(row['step'], row.get('loss')) for row in found] == [
        (10, 1.0), (20, 1.0), (30, 1.0), (40, 2.0), (50, 2.0), (60, 2.0), (60, None)
    ]  # fmt: skip
    facts = training_facts(tmp_path)
    assert facts['curve'] == [[60, 5.0]] and facts['losses']['loss'][0] == [10.0, 1.0]
    assert facts['diagnostics'] == {}


def test_curves_are_thinned_out_by_means() -> None:
    points = [(10 * k, float(k)) for k in range(1, 8)]
    assert thin_out(points, 3) == [[20.0, 2.0], [50.0, 5.0], [70.0, 7.0]]
    assert thin_out(points, 7) == [[float(x), y] for x, y in points] and thin_out([]) == []


# --- command line -----------------------------------------------------------------------------


def test_dry_run_of_cityscapes_to_dark_zurich(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    cityscapes = make_cityscapes(tmp_path / 'cs', with_train_ids=True)
    dark_zurich = make_dark_zurich(tmp_path / 'dz', pair_list=True)
    work_dir = tmp_path / 'work'
    options = ['--cityscapes', cityscapes, '--dark-zurich', dark_zurich, '--work-dir', work_dir]
    assert exit_code('cs2dz', '--rows', 'full', 'wo_cdc', '--dry-run', *options) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    lines = [line for line in lines if line[0] == sys.executable]
    assert len(lines) == 5 and not (work_dir / 'seed0').exists()
    source, full, measured, ablation, _ = lines
    assert source[1:3] == [
        str(ROOT / 'tools/train.py'), str(ROOT / 'configs/refinenet/refinenet_r101_cityscapes.py')
    ]  # fmt: skip
    assert full[2] == str(ROOT / 'configs/ccdistill/refinenet_r101_cs2dz.py')
    assert ablation[2] == str(ROOT / 'configs/ccdistill/ablations/refinenet_r101_cs2dz_wo-cdc.py')
    assert 'train_cfg.max_iters=40000' in source and 'load_from=None' in source
    for row in (full, ablation):
        assert f'load_from={work_dir}/seed0/source/iter_40000.pth' in row
        assert f'train_dataloader.dataset.source.data_root={cityscapes}' in row
        assert f'train_dataloader.dataset.target.data_root={dark_zurich}' in row
        assert f'test_dataloader.dataset.data_root={dark_zurich}' in row
        assert {'train_cfg.max_iters=50000', 'param_scheduler.0.end=50000'} <= set(row)
        assert 'default_hooks.checkpoint.interval=1000' in row
        assert not any('save_optimizer' in word for word in row)  # it may be resumed
    assert measured[1:3] == ['-m', 'benchmarks.adaptation_measure']
    assert measured[4] == f'{work_dir}/seed0/full/iter_50000.pth'
    assert '--sets' not in measured and '--correlations-since' in measured


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['real'], 'with --root'),
        (['real', '--root', 'nowhere'], "nowhere/cityscapes' does not exist: expected the layout"),
        (['cs2dz', '--cityscapes', '.'], 'with --cityscapes and --dark-zurich'),
        (['cs2dz', '--cityscapes', '.', '--dark-zurich', '.'], 'train_dataloader.dataset'),
        (
            ['mini', '--rows', 'best'],
            "no row 'best'; expected headline, ablations, all, source_only",
        ),
        (['real', '--rows', 'oracle', '--root', '.'], "no row 'oracle'"),
        (['mini', '--seeds', '-1'], 'must not be negative'),
        (['mini', '--adapt-iters', '0'], '--adapt-iters must be at least 1, got 0'),
        (['mini', '--share', '0'], '--share must be above 0'),
        (['mini', '--report-only'], 'does not exist: expected the results of a run'),
    ],
)
def test_mistakes_end_in_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(*arguments, '--work-dir', tmp_path / 'work') == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith('error: ') and error.count('\n') == 1
    assert not (tmp_path / 'work').exists()


def test_each_seed_has_a_world_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ['--seeds', 0, 3, '--first-world', 900, '--rows', 'oracle', '--dry-run']
    assert exit_code('mini', *options, '--work-dir', tmp_path) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if 'tools/train.py' in line]
    assert len(lines) == 4 and not (tmp_path / 'worlds').exists()
    for line, seed in zip(lines, (0, 0, 3, 3), strict=True):
        assert f'randomness.seed={seed}' in line and f'/seed{seed}/' in line
        assert f'{tmp_path}/worlds/{900 + seed}/' in line
        assert f'worlds/{903 - seed}/' not in line


def test_estimate_by_hand(tmp_path: Path) -> None:
    """1200 · 0.25 s for the source stage, 600 · 0.25 for two rows of one network, 600 · 0.45 for two of two: 1140 s."""
    args = parse_args(['mini', '--seeds', '0', '--work-dir', str(tmp_path)])
    rows = ['source_only', 'wo_cdc_cds', 'full', 'oracle']
    todo = plan(args, rows, (1200, 600))[0].stages()
    assert len(todo) == 9 and estimate(todo, tmp_path, 2) == pytest.approx(9.5)


def test_defaults_are_those_of_the_suite() -> None:
    args = parse_args(['mini'])
    assert (args.seeds, args.rows, args.first_world) == ([0, 1, 2, 3, 4], ['headline'], 201)
    assert parse_args(['real', '--root', '.']).seeds == [0, 1, 2]
    assert parse_args(['mini', '--seeds', '3', '1', '3']).seeds == [3, 1]


@pytest.mark.slow
def test_a_whole_suite_on_a_tiny_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Trains, measures and reports; goes on with more rows; reports a row that fails and exits with 1."""
    monkeypatch.setenv('PYTHONWARNINGS', 'ignore')
    options = [
        *('mini', '--first-world', 900, '--share', 0.02, '--source-iters', 6, '--adapt-iters', 6),
        *('--work-dir', tmp_path, '--jobs', 2, '--seeds', 0),
    ]
    assert exit_code(*options, '--rows', 'full', 'wo_cdc_cds') == 0
    report = tmp_path / 'report'
    results = json.loads((report / 'results.json').read_text())
    run = results['runs']['full']['0']
    assert set(run['sets']) == {'night', 'day (M_d)'} and len(run['sets']['night']['IoU']) == 19
    assert [step for step, _ in run['curve']] == [1, 2, 3, 4, 5, 6]
    assert 'cross.loss_cds' in run['losses'] and run['commit'] == results['code']['commit']
    cor = run['correlations']
    for moment in ('start', 'end'):
        counts = {name: sum(values) for name, values in cor[moment].items()}
        assert counts == dict.fromkeys(
            ('illu_source', 'illu_target', 'in_day', 'in_night'), 32 * 64
        )
    assert cor['start'] != cor['end']
    assert (report / 'panel.jpg').stat().st_size > 1000 and '<svg' in (
        report / 'index.html'
    ).read_text()

    trained = (tmp_path / 'seed0/full/iter_6.pth').stat().st_mtime_ns
    label = next((tmp_path / 'worlds/900/dark_zurich/gt/train/night').rglob('*.png'))
    label.write_bytes(b'no picture')
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        exit_code(*options, '--rows', 'oracle', 'wo_lab')
    assert stop.value.code == 1
    assert 'FAILED stage seed0/oracle failed' in capsys.readouterr().err
    results = json.loads((report / 'results.json').read_text())
    assert set(results['runs']) == {'full', 'wo_cdc_cds', 'wo_lab'}
    assert 'oracle of seed 0' in results['failures'] and len(results['commands']) == 2
    assert (tmp_path / 'seed0/full/iter_6.pth').stat().st_mtime_ns == trained
