"""Stages as processes: which are run again, where they write, what they record and what they have logged."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks import stage_folder, stages
from benchmarks.adaptation.measure import thin_out, training_facts
from benchmarks.stage_folder import start_run
from benchmarks.stages import Stage, progress_line, run_stages
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.reports.training_log import history
from mmseg_ccdistill.runtime import folder_lock

ROOT = Path(__file__).resolve().parents[2]

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


# --- scheduling -------------------------------------------------------------------------------


def test_a_finished_stage_is_not_run_again_and_a_changed_one_is(tmp_path: Path) -> None:
    first, second = script('a'), script('b')
    for _ in range(2):
        assert run_stages([first, second], tmp_path, jobs=2, threads=1) == {}
    assert runs(tmp_path, 'a') == runs(tmp_path, 'b') == 1
    other = script('a', data='another world')
    run_stages([other, second], tmp_path, jobs=2, threads=1)
    assert len(list(tmp_path.glob('a.*'))) == 1 and not list(tmp_path.glob('b.*'))
    run_stages([script('b', start=other)], tmp_path, jobs=2, threads=1)
    assert len(list(tmp_path.glob('b.*/product'))) == 1  # what it starts from has changed
    assert runs(tmp_path, 'a') == runs(tmp_path, 'b') == 1
    (tmp_path / 'b/stage.json').write_text('{"finger')  # killed while it was written
    run_stages([script('b', start=other)], tmp_path, jobs=1, threads=1)
    assert runs(tmp_path, 'b') == 2


def test_sigterm_ends_the_stages_that_run(tmp_path: Path) -> None:
    kill = "import os, signal, time; open(folder + '/pid', 'w').write(str(os.getpid()))"
    line = f'{kill}; os.kill(os.getppid(), signal.SIGTERM); time.sleep(100)'
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stop:
        run_stages([script('a', line)], tmp_path, jobs=1, threads=1)
    assert stop.value.code == 143 and signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / 'a/pid').read_text()), 0)


@pytest.mark.parametrize(('own', 'expected'), [(None, 'passive'), ('active', 'active')])
def test_threads_of_a_stage_sleep_where_they_wait(
    own: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('OMP_WAIT_POLICY', raising=False)
    if own:
        monkeypatch.setenv('OMP_WAIT_POLICY', own)
    write = "import os; open(folder + '/product', 'w').write(os.environ['OMP_WAIT_POLICY'])"
    run_stages([script('a', write)], tmp_path, jobs=1, threads=2)
    assert (tmp_path / 'a/product').read_text() == expected


def test_a_run_that_fails_late_is_not_taken_for_the_one_before(tmp_path: Path) -> None:
    """The failed one leaves a product; the folder's record of a good end is of other settings."""
    stage = script('a')
    run_stages([stage], tmp_path, 1, 1)
    assert stage.finished(tmp_path)
    late = f'{COUNT}; {FAIL}'
    assert len(run_stages([script('a', late)], tmp_path, 1, 1, lambda *_: None)) == 1
    assert (tmp_path / 'a/product').exists() and not stage.finished(tmp_path)
    again = script('a', f"{COUNT}; import os; os.path.exists(folder + '/fail') and {{}}['late']")
    run_stages([again], tmp_path, 1, 1)
    (tmp_path / 'a/fail').touch()
    (tmp_path / 'a/product').unlink()
    assert len(run_stages([again], tmp_path, 1, 1, lambda *_: None)) == 1
    assert (tmp_path / 'a/product').exists() and not again.finished(tmp_path)


def test_a_run_of_other_settings_finds_no_logs(tmp_path: Path) -> None:
    """The curve of the training before, which logged earlier steps, is not continued."""
    log = (
        "import pathlib; log = pathlib.Path(folder, '{name}', 'vis_data'); log.mkdir(parents=True); "
        "(log / 'scalars.json').write_text('{rows}'); "
    )
    first = log.format(name='20260101_000000', rows='{"loss": 9.0, "step": 1}')
    second = log.format(name='20260102_000000', rows='{"loss": 1.0, "step": 10}')
    run_stages([script('a', first + COUNT)], tmp_path, 1, 1)
    assert history(tmp_path / 'a') == [{'loss': 9.0, 'step': 1}]
    run_stages([script('a', second + COUNT)], tmp_path, 1, 1)
    assert history(tmp_path / 'a') == [{'loss': 1.0, 'step': 10}]
    (kept,) = tmp_path.glob('a.*')
    assert history(kept) == [{'loss': 9.0, 'step': 1}] and (kept / 'stage.json').exists()


def test_a_run_that_begins_anew_finds_no_checkpoint_of_its_own(tmp_path: Path) -> None:
    assert not start_run(tmp_path / 'a', 'settings', has_begun=False)
    (tmp_path / 'a/iter_20.pth').touch()
    assert start_run(tmp_path / 'a', 'settings', has_begun=True)
    assert (tmp_path / 'a/iter_20.pth').exists()
    assert not start_run(tmp_path / 'a', 'settings', has_begun=False)
    assert not list(tmp_path.rglob('*.pth')) and len(list(tmp_path.iterdir())) == 1


def test_the_code_is_that_of_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = [{'commit': name, 'dirty': False} for name in ('old', 'new')]
    monkeypatch.setattr(stage_folder, 'code_state', lambda: states[0])
    stage = script('a')
    run_stages([stage], tmp_path, 1, 1)
    monkeypatch.setattr(stage_folder, 'code_state', lambda: states[1])
    run_stages([stage], tmp_path, 1, 1)
    assert stage.code(tmp_path) == [states[0]]
    run_stages([script('a', data='other')], tmp_path, 1, 1)
    assert stage.code(tmp_path) == [states[1]]


def test_the_place_of_the_work_dir_makes_no_difference(tmp_path: Path) -> None:
    stage = Stage('a', CONFIG, 10, Stage('b', CONFIG, 5), 1, {'x': 2})
    assert stage.fingerprint(tmp_path / 'one') == stage.fingerprint(tmp_path / 'two')
    longer = Stage('a', CONFIG, 10, Stage('b', CONFIG, 6), 1, {'x': 2})
    assert stage.fingerprint(tmp_path) != longer.fingerprint(tmp_path)


def test_a_failed_row_leaves_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stages, 'LINE_SECONDS', 0.0)
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
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('0/4 ETA ?; bad 0/1') and 'bad: failed' in lines
    assert lines[-1] == 'good: done in 0 s'
    assert lines[-2].startswith('3/4 ETA 0 s')  # what failed or was left out is over, too
    with pytest.raises(RuntimeError, match='no luck'):
        run_stages([bad], tmp_path, 1, 1)


def test_when_the_stages_will_be_over_by_hand() -> None:
    """40 of 140 steps in 20 s, 10 of them of stages that run: another 100 take 50 s."""
    a, b, c = (Stage(name, CONFIG, steps) for name, steps in (('a', 30), ('b', 100), ('c', 10)))
    assert progress_line([a, b, c], {a}, {b: 10}, 20.0) == '40/140 ETA 50 s; b 10/100'
    assert progress_line([b, c], {a}, {b: 0, c: 0}, 20.0) == '0/110 ETA ?; b 0/100; c 0/10'


def test_a_stage_that_starts_from_nothing_ends_all_before_anything_runs(tmp_path: Path) -> None:
    alone = script('alone', start=script('forgotten'))
    with pytest.raises(RuntimeError, match='alone starts from a stage that is not run'):
        run_stages([script('first'), alone], tmp_path, 1, 1)
    assert not (tmp_path / 'first').exists()


def test_an_end_of_the_loop_ends_the_stages(tmp_path: Path) -> None:
    """Nothing goes on writing after a failure; the one that was ended is run again."""
    slow = script('slow', f'import time; time.sleep(60); {COUNT}')
    begin = time.monotonic()
    with pytest.raises(RuntimeError, match='stage bad failed'):
        run_stages([slow, script('bad', FAIL)], tmp_path, jobs=2, threads=1)
    assert time.monotonic() - begin < 30
    with folder_lock.own(tmp_path):  # no process holds the folder
        assert not slow.finished(tmp_path) and (tmp_path / 'slow/started.json').exists()


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

    commits = iter('aaabb')
    monkeypatch.setattr(stage_folder, 'code_state', lambda: {'commit': next(commits)})
    monkeypatch.setattr(stages.subprocess, 'Popen', Process)
    stage = Stage('long', CONFIG, 9, resumable=True)
    stages._launch(stage, tmp_path, 0, 1, 0)
    stages._launch(stage, tmp_path, 0, 1, 0)  # no checkpoint yet
    choice = stages.newest_good_checkpoint(str(tmp_path))._replace(checkpoint=Path('iter_3.pth'))
    monkeypatch.setattr(stages, 'newest_good_checkpoint', lambda folder: choice)
    begin = (tmp_path / 'long/started.json').stat().st_mtime
    os.utime(tmp_path / 'long/train.log', (begin + 70, begin + 70))  # its last output
    stages._launch(stage, tmp_path, 0, 1, 0)
    assert stage.code(tmp_path) == [{'commit': 'a'}]
    begin = (tmp_path / 'long/started.json').stat().st_mtime
    os.utime(tmp_path / 'long/train.log', (begin + 30, begin + 30))
    stages._launch(stage, tmp_path, 0, 1, 0)
    assert stage.code(tmp_path) == [{'commit': 'a'}, {'commit': 'b'}]
    stage_folder.finish_run(tmp_path / 'long', 5.0)
    assert stage.seconds(tmp_path) == pytest.approx(105, abs=0.01)  # of all three processes
    assert ['--resume' in command for command in started] == [False, False, True, True]
    assert started[2][1:4] == [str(ROOT / 'tools/train.py'), str(ROOT / CONFIG), '--resume']
    (tmp_path / 'long/iter_3.pth').touch()
    stages._launch(Stage('long', CONFIG, 8, resumable=True), tmp_path, 0, 1, 0)
    assert '--resume' not in started[4] and not (tmp_path / 'long/iter_3.pth').exists()
    assert len(list(tmp_path.glob('long.*/iter_3.pth'))) == 1  # nothing is lost


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path) -> None:
    """Not even when the first one was killed and only a stage of it lives on."""
    with folder_lock.own(tmp_path) as lock:
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
