"""A folder of predictions over several calls: whose each file is, what gives way, and what is never touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tool_project import error_of, photo
from trained_file import write_video

from mmseg_ccdistill.prediction import outputs as outputs_module
from mmseg_ccdistill.prediction import predict_command
from mmseg_ccdistill.runtime.command_line import run_main

KINDS = ('--save', 'overlay', 'trainids')


def call(*arguments: object) -> int:
    full = [*map(str, arguments), '--device', 'cpu', '--workers', '0']
    return run_main(lambda: predict_command.main(full))


def content(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the record, which holds paths."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and path.name != 'predictions.json'
    }


@pytest.fixture
def scenes(photos) -> Path:
    """Three photos and a video."""
    write_video(photos / 'clip.mp4', frames=2)
    return photos


@pytest.fixture
def other_scenes(tmp_path) -> Path:
    """Another folder with files of the same names."""
    other = tmp_path / 'other'
    other.mkdir()
    cv2.imwrite(str(other / 'one.png'), photo(7))
    cv2.imwrite(str(other / 'two.jpg'), photo(8))
    write_video(other / 'clip.mp4', frames=3)
    return other


@pytest.mark.parametrize('force', [(), ('--force',)])
@pytest.mark.parametrize(
    'spoil',
    [
        lambda facts: facts['calls'][0].pop('inputs'),
        lambda facts: facts['calls'][0].pop('root'),
        lambda facts: facts['calls'][0].pop('opacity'),
        lambda facts: facts['calls'][0].pop('max_frames'),
        lambda facts: facts['calls'][0].update(inputs='one.png'),
        lambda facts: facts['calls'][0].update(inputs=[1]),
        lambda facts: facts['calls'][0].update(kind=None),
        lambda facts: facts.update(calls=['overlay']),
        lambda facts: facts.update(calls=None),
    ],
)
def test_a_record_that_is_not_whole_is_one_sentence(
    trained_file, scenes, tmp_path, capsys, spoil, force
) -> None:
    out = tmp_path / 'out'
    assert call(trained_file, scenes / 'one.png', '--out', out) == 0
    record = out / 'predictions.json'
    facts = json.loads(record.read_text())
    spoil(facts)
    record.write_text(json.dumps(facts))
    before = content(out)
    assert call(trained_file, scenes / 'one.png', '--out', out, *force) == 2
    assert error_of(capsys) == (
        f"the record '{record}' is not whole: expected kind, root, opacity, max_frames and inputs of each call, as "
        'predict.py writes them; choose another --out, or delete the record to keep the predictions that are there '
        'whatever they are of'
    )
    assert content(out) == before and json.loads(record.read_text()) == facts
    record.unlink()
    assert call(trained_file, scenes / 'one.png', '--out', out) == 0
    assert content(out) == before


@pytest.mark.parametrize('reached', [0, 1, 5])
@pytest.mark.parametrize('change', ['model', 'opacity', 'frames', 'inputs'])
def test_what_an_interrupted_force_did_not_reach_is_made_anew(
    trained_file, scenes, other_scenes, tmp_path, monkeypatch, change, reached
) -> None:
    out, fresh = tmp_path / 'out', tmp_path / 'fresh'
    assert call(trained_file, scenes, '--out', out, *KINDS) == 0
    second: list[object] = [trained_file, other_scenes if change == 'inputs' else scenes, *KINDS]
    options = {'model': ('--branch', 'day'), 'opacity': ('--opacity', 0.3), 'frames': ('--max-frames', 1)}  # fmt: skip
    second += options.get(change, ())
    count, paint = iter(range(99)), outputs_module.paint

    def interrupted(*arguments: object) -> np.ndarray:
        if next(count) >= reached:
            raise KeyboardInterrupt
        return paint(*arguments)

    with monkeypatch.context() as patch:
        for module in (outputs_module, predict_command):
            patch.setattr(module, 'paint', interrupted)
        assert call(*second, '--out', out, '--force') == 130
    assert call(*second, '--out', out) == 0
    assert call(*second, '--out', fresh) == 0
    found, expected = content(out), content(fresh)
    assert {name: found.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ('again', 'left'),
    [
        (['one.png', 'two.jpg', 'b/one.png'], 'overlay/clip.mp4'),
        (['clip.mp4'], 'overlay/b/one.png'),
        (['.', '--save', 'overlay'], 'trainids/b/one.png'),
    ],
)
def test_another_model_must_replace_everything(
    trained_file, scenes, tmp_path, capsys, monkeypatch, again, left
) -> None:
    monkeypatch.chdir(scenes)
    out = tmp_path / 'out'
    assert call(trained_file, scenes, '--out', out, *KINDS) == 0
    before, record = content(out), (out / 'predictions.json').read_text()
    arguments = ['--out', out, '--force', '--branch', 'day']
    kinds = [] if '--save' in again else KINDS
    assert call(trained_file, *again, *arguments, *kinds) == 2
    assert error_of(capsys) == (
        f"'{out / left}' is of another model ({trained_file}) and this call does not replace it: expected a folder for "
        'each model; choose another --out, delete that prediction, or name its input and kind, too'
    )
    assert content(out) == before
    assert (out / 'predictions.json').read_text() == record
    for kind in ('overlay', 'trainids'):
        shutil.rmtree(out / kind)
    assert call(trained_file, *again, *arguments, *kinds) == 0  # nothing is left of the other


def test_another_model_takes_no_file_that_is_not_its_own(
    trained_file, scenes, tmp_path, capsys
) -> None:
    out = tmp_path / 'out'
    assert call(trained_file, scenes, '--out', out, *KINDS) == 0
    (out / 'overlay/mine.png').write_text('mine')
    (out / 'color').mkdir()
    (out / 'color/one.png').write_text('mine')  # of a kind that was not asked for
    (scenes / 'mine.jpg').write_text('no image')
    assert call(trained_file, scenes, '--out', out, *KINDS, '--force', '--branch', 'day') == 1
    assert (out / 'overlay/mine.png').read_text() == 'mine'
    assert (out / 'color/one.png').read_text() == 'mine'
    (out / 'trainids/clip/notes.txt').write_text('mine')
    before = content(out)
    capsys.readouterr()
    assert call(trained_file, scenes, '--out', out, *KINDS, '--force') == 2
    assert "holds 'notes.txt' beside frames" in error_of(capsys)
    assert content(out) == before


def test_each_kind_has_an_owner_and_settings_of_its_own(
    trained_file, scenes, other_scenes, tmp_path, capsys
) -> None:
    out = tmp_path / 'out'
    assert call(trained_file, scenes / 'one.png', '--out', out) == 0
    assert call(trained_file, scenes / 'one.png', '--out', out, '--save', 'trainids') == 0
    assert call(trained_file, scenes / 'one.png', '--out', out, '--opacity', 0.3) == 2
    assert 'with --opacity 0.5, not 0.3' in error_of(capsys)
    assert call(trained_file, other_scenes / 'one.png', '--out', out, '--save', 'color') == 0
    assert call(trained_file, other_scenes / 'one.png', '--out', out) == 2
    assert error_of(capsys) == (
        f"'{out}' holds the prediction of '{scenes / 'one.png'}', where that of '{other_scenes / 'one.png'}' would go: "
        'expected a folder for each; choose another --out, or pass --force'
    )
    calls = json.loads((out / 'predictions.json').read_text())['calls']
    owners = {(made['kind'], made['root'], *made['inputs']) for made in calls}
    assert owners == {
        ('overlay', str(scenes), 'one.png'),
        ('trainids', str(scenes), 'one.png'),
        ('color', str(other_scenes), 'one.png'),
    }


def test_a_picture_of_another_ending_does_not_take_the_place(
    trained_file, tmp_path, capsys
) -> None:
    folder, out = tmp_path / 'in', tmp_path / 'out'
    folder.mkdir()
    cv2.imwrite(str(folder / 'a.png'), photo(1))
    assert call(trained_file, folder, '--out', out) == 0
    (folder / 'a.png').unlink()
    cv2.imwrite(str(folder / 'a.jpg'), photo(2))
    assert call(trained_file, folder, '--out', out) == 2
    assert f"holds the prediction of '{folder / 'a.png'}'" in error_of(capsys)
    assert call(trained_file, folder, '--out', out, '--force') == 0


def _inputs(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(('.mp4', '.avi')):
            write_video(folder / f'{name}.mp4', frames=2).rename(folder / name)
        elif name.endswith('.csv'):
            (folder / name).write_text('no image')
        else:
            cv2.imwrite(str(folder / name), photo(1))
    return folder


_SHARED = [
    ('drive.mp4', 'drive/000000.jpg', 'drive'),
    ('drive.mp4', 'drive/b/one.jpg', 'drive'),
    ('drive.mp4', 'drive/clip.mp4', 'drive'),
    ('drive.jpg', 'drive.png.mp4', 'drive.png'),
    ('drive.jpg', 'drive.png/one.jpg', 'drive.png'),
]


@pytest.mark.parametrize('kind', ['trainids', 'confidence'])
@pytest.mark.parametrize('force', [(), ('--force',)])
@pytest.mark.parametrize(('one', 'other', 'shared'), _SHARED)
def test_two_inputs_do_not_share_a_folder(
    trained_file, tmp_path, capsys, kind, force, one, other, shared
) -> None:
    folder, out = _inputs(tmp_path / 'in', (one, other)), tmp_path / 'out'
    assert call(trained_file, folder, '--out', out, '--save', 'overlay', kind, *force) == 2
    if other == 'drive.png/one.jpg':  # images alone share it in every kind
        kind = 'overlay'
    assert error_of(capsys) == (
        f"the predictions of '{folder / one}' and of '{folder / other}' would share '{out / kind / shared}': expected "
        'a name of its own for each; rename one, or give each an --out of its own'
    )
    assert not list(out.rglob('*.*'))


@pytest.mark.parametrize('kind', ['overlay', 'color'])
def test_painted_videos_share_nothing(trained_file, tmp_path, kind) -> None:
    folder = _inputs(tmp_path / 'in', ('drive.mp4', 'drive/000000.jpg'))
    assert call(trained_file, folder, '--out', tmp_path / 'out', '--save', kind) == 0
    assert {*content(tmp_path / 'out')} == {f'{kind}/drive.mp4', f'{kind}/drive/000000.png'}


@pytest.mark.parametrize('force', [(), ('--force',)])
@pytest.mark.parametrize('order', [1, -1])
def test_two_calls_do_not_share_a_folder(trained_file, tmp_path, capsys, order, force) -> None:
    names = ('drive.mp4', 'drive/000000.jpg')
    folder, out = _inputs(tmp_path / 'in', names), tmp_path / 'out'
    (folder / 'a.jpg').write_bytes((folder / names[1]).read_bytes())  # so that the root stays
    arguments = [folder / 'a.jpg', '--out', out, '--save', 'trainids']
    first, second = names[::order]
    assert call(trained_file, folder / first, *arguments) == 0
    before = content(out)
    assert call(trained_file, folder / second, *arguments, *force) == 2
    assert f"would share '{out / 'trainids/drive'}'" in error_of(capsys)
    assert content(out) == before


def test_a_file_that_is_no_image_takes_no_name(trained_file, tmp_path, capsys) -> None:
    names = ('a.jpg', 'a.csv', 'drive.mp4', 'drive/gps.csv', 'drive.csv')
    folder, out = _inputs(tmp_path / 'in', names), tmp_path / 'out'
    for done in ('2 of 5 inputs predicted, 2 frames of video', '0 of 5 inputs predicted, 2 there'):
        assert call(trained_file, folder, '--out', out, '--save', 'trainids') == 1
        printed = capsys.readouterr().out
        assert f'{out}: {done}' in printed
        for name in ('a.csv', 'drive/gps.csv', 'drive.csv'):  # named each time
            assert f"The file '{folder / name}' cannot be read (no image header)" in printed
        assert printed.count('\n  ') == 3
    frames = [f'trainids/drive/{number:06d}.png' for number in range(2)]
    assert sorted(content(out)) == ['trainids/a.png', *frames]
