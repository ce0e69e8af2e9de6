"""Stages of a curriculum: in order, none twice, restarted after a kill at any file, refused with other inputs."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_stages import make_place
from tool_project import load_tool, run_tool

from mmseg_ccdistill.engine.curriculum_plan import read_plan
from mmseg_ccdistill.engine.curriculum_run import run_curriculum
from mmseg_ccdistill.engine.curriculum_stage import Stage, Tools
from mmseg_ccdistill.errors import RunError, UserInputError
from mmseg_ccdistill.runtime.folder_lock import own
from mmseg_ccdistill.runtime.run_errors import StoppedBySignal

FAKE = Path(__file__).resolve().parents[1] / 'helpers/fake_stages.py'
DMADA = 'configs/dmada/refinenet_small_mini_day2night.py'
GCMA = 'configs/gcma/refinenet_small_mini_day2night.py'
NAMES = ['twilight_labels', 'twilight', 'new_twilight_labels', 'night_labels', 'night']


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(make_place(tmp_path))
    return tmp_path


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    scripts = []
    for kind in ('train', 'label'):
        script = tmp_path / f'fake_{kind}.py'
        script.write_text(
            f'import runpy, sys\nsys.argv[1:1] = [{kind!r}]\n'
            f'runpy.run_path({str(FAKE)!r}, run_name="__main__")\n'
        )
        scripts.append(str(script))
    return Tools(scripts[0], 'none.sh', scripts[1])


def plan(config: str = DMADA, work_dir: str = 'run') -> list[Stage]:
    return read_plan(config, work_dir)


def contents(work_dir: str = 'run') -> dict[str, str]:
    """All files below a folder but the lock."""
    return {
        str(path.relative_to(work_dir)): path.read_text()
        for path in sorted(Path(work_dir).rglob('*'))
        if path.is_file() and path.name != '.lock'
    }


def calls() -> list[str]:
    path = Path('calls.txt')
    return path.read_text().splitlines() if path.exists() else []


def test_all_stages_run_once_in_order_and_a_second_time_nothing_runs(
    place: Path, tools: Tools, capsys: pytest.CaptureFixture
) -> None:
    run_curriculum(plan(), 'run', tools)
    assert [line.split()[0] for line in calls()] == ['label', 'train', 'label', 'label', 'train']
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(':')[0] for line in lines] == [
        f'[{k}/5] {name}' for k, name in enumerate(NAMES, 1) for _ in range(2)
    ]
    assert lines[0].endswith(
        'labels data/mini_night/dark_zurich/rgb_anon/train/twilight, from '
        'work_dirs/refinenet/refinenet_small_mini/iter_600.pth'
    )
    assert lines[1].startswith('[1/5] twilight_labels: done in ')
    before = contents()
    run_curriculum(plan(), 'run', tools)
    assert len(calls()) == 5 and contents() == before
    assert capsys.readouterr().out.splitlines() == [
        f'[{k}/5] {name}: done before' for k, name in enumerate(NAMES, 1)
    ]


@pytest.mark.parametrize(
    'file',
    [
        'twilight_labels/manifest.json',
        'twilight/iter_300.pth',
        'twilight/iter_600.pth',
        'A/A_frame_000001_rgb_anon.png',
        'night_labels/manifest.json',
        'night/iter_600.pth',
    ],
)
def test_killed_at_any_file_it_ends_with_the_same_bytes(
    place: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setenv('KILL', file)
    with pytest.raises(
        RunError, match=r"the stage '\w+' ended with exit code 137: .* give the same"
    ):
        run_curriculum(plan(), 'run', tools)
    monkeypatch.delenv('KILL')
    run_curriculum(plan(), 'run', tools)
    run_curriculum(plan(work_dir='whole'), 'whole', tools)
    killed, whole = contents(), contents('whole')
    assert killed.keys() == whole.keys() and len(whole) == 3 * 4 + 2 * 2 + 5
    assert killed == whole


@pytest.mark.parametrize(
    'file',
    ['ssl0/iter_300.pth', 'A/A_frame_000001_rgb_anon.png', 'labels0/manifest.json', 'ssl1/iter_600.pth'],
)  # fmt: skip
def test_bdl_lab_killed_at_any_file_ends_with_the_same_bytes(
    place: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    config = 'configs/bdl_lab/refinenet_small_mini_day2night_ssl1.py'
    monkeypatch.setenv('KILL', file)
    with pytest.raises(RunError, match='ended with exit code 137'):
        run_curriculum(plan(config), 'run', tools)
    monkeypatch.delenv('KILL')
    run_curriculum(plan(config), 'run', tools)
    run_curriculum(plan(config, 'whole'), 'whole', tools)
    killed, whole = contents(), contents('whole')
    assert killed == whole and len(whole) == 2 * 2 + 4 + 3


def test_the_whole_run_killed_goes_on(place: Path, tools: Tools) -> None:
    """Between two stages: the record of what was started stands, that it is done does not."""
    run_curriculum(plan()[:2], 'run', tools)
    record = Path('run/twilight.json')
    record.write_text(record.read_text().replace('"done": true', '"done": false'))
    run_curriculum(plan(), 'run', tools)
    assert [line.split()[0] for line in calls()] == [
        'label',
        'train',
        'train',
        'label',
        'label',
        'train',
    ]


def change_checkpoint() -> None:
    Path('work_dirs/refinenet/refinenet_small_mini/iter_600.pth').write_text('another')


def change_list() -> None:
    Path('data/mini_night/dark_zurich/rgb_anon/train/twilight/A/new_rgb_anon.png').touch()


def change_settings() -> None:
    Path('run/twilight_labels.json').write_text(
        Path('run/twilight_labels.json').read_text().replace('"config": "', '"config": "0')
    )


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (change_checkpoint, 'another checkpoint'),
        (change_list, 'another list of images'),
        (change_settings, 'another config'),
    ],
)
def test_other_inputs_are_refused_until_it_is_asked_for(
    place: Path, tools: Tools, change: object, words: str
) -> None:
    run_curriculum(plan(), 'run', tools)
    before = contents()
    change()  # type: ignore[operator]
    changed = contents()
    with pytest.raises(UserInputError) as info:
        run_curriculum(plan(), 'run', tools)
    assert str(info.value).startswith(
        f"the stage 'twilight_labels' in 'run/twilight_labels' was made from {words}: expected"
    )
    assert '--again twilight_labels' in str(info.value)
    assert contents() == changed and len(calls()) == 5
    run_curriculum(plan(), 'run', tools, again='twilight_labels')
    assert len(calls()) == 10
    kept = [name for name in contents() if '.20' in name]
    assert len(kept) == len(before)  # nothing of the old stages is lost
    run_curriculum(plan(), 'run', tools)
    assert len(calls()) == 10


def test_again_makes_a_stage_and_those_after_it(
    place: Path, tools: Tools, capsys: pytest.CaptureFixture
) -> None:
    run_curriculum(plan(), 'run', tools)
    first = contents()
    capsys.readouterr()
    run_curriculum(plan(), 'run', tools, again='night_labels')
    assert len(calls()) == 7
    assert first.items() <= contents().items()
    out = capsys.readouterr().out
    assert 'run/night_labels is now run/night_labels.20' in out
    assert '[3/5] new_twilight_labels: done before' in out
    with pytest.raises(
        UserInputError, match="no stage 'dusk': expected one of twilight_labels, tw"
    ):
        run_curriculum(plan(), 'run', tools, again='dusk')


def test_what_a_stage_has_made_must_stay(place: Path, tools: Tools) -> None:
    run_curriculum(plan(), 'run', tools)
    path = Path('run/twilight/iter_600.pth')
    content = path.read_text()
    path.write_text('of another run')
    with pytest.raises(
        UserInputError, match="iter_600.pth' has changed since the stage 'twilight'"
    ):
        run_curriculum(plan(), 'run', tools)
    path.unlink()
    with pytest.raises(
        UserInputError, match='had made, is gone: expected it; restore it, or make it'
    ):
        run_curriculum(plan(), 'run', tools)
    path.write_text(content)
    run_curriculum(plan(), 'run', tools)
    assert len(calls()) == 5


def test_a_folder_of_others_and_a_broken_record_are_refused(place: Path, tools: Tools) -> None:
    Path('run/twilight_labels').mkdir(parents=True)
    with pytest.raises(
        UserInputError, match="is there, but no 'run/twilight_labels.json' says what"
    ):
        run_curriculum(plan(), 'run', tools)
    Path('run/twilight_labels.json').write_text('{"inputs"')
    with pytest.raises(
        UserInputError, match=r"twilight_labels.json' cannot be read \(JSONDecodeError"
    ):
        run_curriculum(plan(), 'run', tools)
    assert calls() == []


def test_two_runs_do_not_share_a_folder(place: Path, tools: Tools) -> None:
    with own(Path('run')), pytest.raises(UserInputError, match="'run' is in use by another run"):
        run_curriculum(plan(), 'run', tools)


@pytest.mark.parametrize(
    ('code', 'error', 'words'),
    [
        ('1', RunError, 'ended with exit code 1: its messages stand above; give the same command'),
        ('0', RunError, "has not written 'run/twilight_labels/manifest.json'"),
        ('2', UserInputError, 'ended with a mistake in its input, which stands above: correct it'),
        ('143', StoppedBySignal, '143'),
    ],
)
def test_how_a_stage_ends_is_how_the_curriculum_ends(
    place: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch, code: str, error: type, words: str
) -> None:
    monkeypatch.setenv('EXIT', code)
    with pytest.raises(error, match=words):
        run_curriculum(plan(), 'run', tools)


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_stage_once(
    place: Path, tools: Tools, tmp_path: Path, number: signal.Signals
) -> None:
    slow = tmp_path / 'slow.py'
    slow.write_text(
        'import signal, sys, time, pathlib\n'
        'seen = []\n'
        'for n in (signal.SIGINT, signal.SIGTERM):\n'
        '    signal.signal(n, lambda number, frame: seen.append(number))\n'
        'pathlib.Path("ready").touch()\n'
        'while not seen: time.sleep(0.02)\n'
        'time.sleep(0.3)\n'
        'pathlib.Path("seen").write_text(repr([int(n) for n in seen]))\n'
        'sys.exit(128 + seen[0])\n'
    )
    program = (
        'from mmseg_ccdistill.engine.curriculum_plan import read_plan\n'
        'from mmseg_ccdistill.engine.curriculum_run import run_curriculum\n'
        'from mmseg_ccdistill.engine.curriculum_stage import Tools\n'
        'from mmseg_ccdistill.runtime.command_line import run_main\n'
        'import sys\n'
        f'tools = Tools({tools.train!r}, "none.sh", {str(slow)!r})\n'
        f'sys.exit(run_main(lambda: run_curriculum(read_plan({DMADA!r}, "run"), "run", tools)))\n'
    )
    process = subprocess.Popen(
        [sys.executable, '-c', program], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    end = time.monotonic() + 60
    while not Path('ready').exists() and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, number)  # as a terminal does: the whole group
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 128 + number
    assert Path('seen').read_text() == repr([int(number)])
    assert "the stage 'twilight_labels' was stopped; the same command goes on with it" in errors


def test_the_tool_prints_the_commands(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tool = load_tool('tools/curriculum.py')
    assert run_tool(tool, monkeypatch, GCMA, '--dry-run', '--gpus', '2') == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line and line[0] != '#']
    words = [shlex.split(line) for line in lines]
    assert len(words) == 4 and not Path('work_dirs/gcma').exists()
    folder = 'work_dirs/gcma/refinenet_small_mini_day2night'
    label = words[2]
    assert label[1:5] == ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2']
    assert label[6:8] == [
        'configs/gcma/refinenet_small_mini_day2night_day.py',
        f'{folder}/day/iter_600.pth',
    ]
    assert label[8:10] == ['--out', f'{folder}/twilight_labels']
    assert label[label.index('--threshold') + 1] == 'none'
    assert label[label.index('--refine') + 1 :] == [
        'align=filter',
        'guide=work_dirs/refinenet/refinenet_small_mini/iter_600.pth',
        'pairs=data/mini_night/dark_zurich/corresp/train/twilight',
    ]
    train = words[3]
    assert train[0] == 'bash' and train[1].endswith('tools/dist_train.sh')
    assert train[2:6] == [GCMA, '2', '--work-dir', f'{folder}/twilight']
    assert train[train.index('--cfg-options') + 1 :] == [
        f'load_from={folder}/day/iter_600.pth',
        f'train_dataloader.dataset.parts.1.dataset.data_prefix.seg_map_path={folder}/twilight_labels',
        f'train_dataloader.dataset.parts.1.dataset.made_by={folder}/day/iter_600.pth',
    ]


def test_the_tool_refuses_what_is_no_curriculum(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    tool = load_tool('tools/curriculum.py')
    assert run_tool(tool, monkeypatch, 'configs/refinenet/refinenet_small_mini.py') == 2
    assert (
        "refinenet_small_mini.py' has no stages: expected a list curriculum="
        in capsys.readouterr().err
    )
    assert run_tool(tool, monkeypatch, DMADA, '--gpus', '0') == 2
    assert '--gpus is 0: expected the number of processes' in capsys.readouterr().err
