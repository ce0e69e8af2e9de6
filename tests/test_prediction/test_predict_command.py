"""The command as its users call it: everything that it writes, keeps, and refuses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tool_project import error_of, load_tool, photo, run_tool
from trained_file import write_video

from mmseg_ccdistill.datasets.image_facts import read_facts
from mmseg_ccdistill.prediction import outputs as outputs_module
from mmseg_ccdistill.prediction import predict_command, videos
from mmseg_ccdistill.prediction.videos import VideoFrames
from mmseg_ccdistill.runtime.command_line import run_main

ALL = ('--save', 'overlay', 'trainids', 'color', 'confidence')


def call(*arguments: object) -> int:
    full = [*map(str, arguments), '--device', 'cpu', '--workers', '0']
    return run_main(lambda: predict_command.main(full))


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


def stored(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.mark.parametrize('batch_size', [1, 2])
def test_a_folder_keeps_its_folders(
    trained_file, segmenter, photos, tmp_path, capsys, batch_size
) -> None:
    out = tmp_path / 'out'
    assert call(trained_file, photos, '--out', out, *ALL, '--batch-size', batch_size) == 0
    names = ['b/one.png', 'one.png', 'two.png']
    kinds = ['color', 'confidence', 'overlay']
    expected = [f'{kind}/{name}' for kind in kinds for name in names]
    expected += ['predictions.json', *(f'trainids/{name}' for name in names)]
    assert files(out) == expected
    result = segmenter(photos / 'two.jpg')
    labels = stored(out / 'trainids/two.png')
    assert labels.dtype == np.uint8 and labels.shape == (50, 70)
    assert np.mean(labels != result.labels) < 1e-3
    confidence = stored(out / 'confidence/two.png')
    assert confidence.dtype == np.uint16
    assert np.abs(confidence - result.confidence * 65535).max() < 2
    palette = np.array(segmenter.palette)
    np.testing.assert_array_equal(stored(out / 'color/two.png')[..., ::-1], palette[labels])
    photograph = cv2.imread(str(photos / 'two.jpg'))
    overlay = cv2.addWeighted(photograph, 0.5, stored(out / 'color/two.png'), 0.5, 0)
    np.testing.assert_array_equal(stored(out / 'overlay/two.png'), overlay)
    assert read_facts(str(out / 'trainids/two.png'), with_values=False).mode == 'L'
    facts = json.loads((out / 'predictions.json').read_text())
    assert facts['classes'] == list(segmenter.classes) and facts['branch'] == 'night'
    assert facts['palette'][0] == [128, 64, 128]
    assert capsys.readouterr().out.endswith(f'{out}: 3 of 3 inputs predicted\n')


def test_a_turned_photo_is_predicted_upright(trained_file, tmp_path) -> None:
    exif = Image.Exif()
    exif[274] = 8
    Image.fromarray(photo(1)).save(tmp_path / 'a.jpg', exif=exif)
    assert call(trained_file, tmp_path / 'a.jpg', '--out', tmp_path / 'out') == 0
    assert stored(tmp_path / 'out/overlay/a.png').shape == (96, 64, 3)


def test_what_exists_is_kept(trained_file, photos, tmp_path, capsys) -> None:
    out = tmp_path / 'out'
    (out / 'overlay').mkdir(parents=True)
    (out / 'overlay/one.png').write_text('mine')
    assert call(trained_file, photos, '--out', out) == 0
    assert '2 of 3 inputs predicted, 1 there already and kept' in capsys.readouterr().out
    assert (out / 'overlay/one.png').read_text() == 'mine'
    before = (out / 'overlay/two.png').stat().st_mtime_ns
    assert call(trained_file, photos, '--out', out, *ALL) == 0  # what is new is added
    assert (out / 'overlay/one.png').read_text() == 'mine'
    assert stored(out / 'trainids/one.png').shape == (64, 96)
    assert (out / 'overlay/two.png').stat().st_mtime_ns == before
    assert call(trained_file, photos, '--out', out, '--force') == 0
    assert stored(out / 'overlay/one.png').shape == (64, 96, 3)


def test_models_do_not_meet_in_one_folder(trained_file, photos, tmp_path, capsys) -> None:
    out = tmp_path / 'out'
    assert call(trained_file, photos / 'one.png', '--out', out) == 0
    before = {name: (out / name).read_bytes() for name in files(out)}
    assert call(trained_file, photos, '--out', out, '--branch', 'day') == 2
    assert error_of(capsys) == (
        f"'{out}' holds predictions of another model ({trained_file}): expected a folder for each model; choose "
        'another --out, or pass --force'
    )
    assert {name: (out / name).read_bytes() for name in files(out)} == before


def test_inputs_of_equal_names_do_not_take_each_others_place(
    trained_file, photos, tmp_path, capsys
) -> None:
    out, other = tmp_path / 'out', tmp_path / 'other'
    other.mkdir()
    (other / 'one.png').write_bytes((photos / 'b/one.png').read_bytes())
    (other / 'new.png').write_bytes((photos / 'b/one.png').read_bytes())
    assert call(trained_file, photos, '--out', out) == 0
    before = {name: (out / name).read_bytes() for name in files(out)}
    for inputs in ([other], [other / 'one.png']):
        assert call(trained_file, *inputs, '--out', out) == 2
        assert error_of(capsys) == (
            f"'{out}' holds the prediction of '{photos / 'one.png'}', where that of '{other / 'one.png'}' would go: "
            'expected a folder for each; choose another --out, or pass --force'
        )
    assert {name: (out / name).read_bytes() for name in files(out)} == before
    assert call(trained_file, other / 'new.png', '--out', out) == 0  # nobody's place
    assert call(trained_file, photos, '--out', out) == 0
    assert '0 of 3 inputs predicted, 3 there already' in capsys.readouterr().out
    assert call(trained_file, other, '--out', out, '--force') == 0
    assert (out / 'overlay/one.png').read_bytes() != before['overlay/one.png']


def test_what_is_kept_has_the_settings_that_are_asked_for(
    trained_file, photos, tmp_path, capsys
) -> None:
    out, video = tmp_path / 'out', tmp_path / 'drive.mp4'
    write_video(video, 4)
    assert call(trained_file, photos, video, '--out', out, '--max-frames', 2) == 0
    for options, sentence in (
        ((), 'with --max-frames 2, '),
        (('--max-frames', 2, '--opacity', 0.3), 'with --opacity 0.5, '),
    ):
        assert call(trained_file, photos, video, '--out', out, *options) == 2
        assert sentence in error_of(capsys)
    assert call(trained_file, photos, video, '--out', out, '--max-frames', 2) == 0
    assert call(trained_file, photos, video, '--out', out, '--force') == 0


def test_broken_files_are_listed_and_the_rest_is_done(
    trained_file, photos, tmp_path, capsys
) -> None:
    (photos / 'note.txt').write_text('no image')
    (photos / 'b/bad.mp4').write_text('no video')
    whole = (photos / 'two.jpg').read_bytes()
    (photos / 'half.jpg').write_bytes(whole[: len(whole) // 2])
    out = tmp_path / 'out'
    assert call(trained_file, photos, '--out', out, '--batch-size', 4) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()[-4:]
    assert lines[0] == f'{out}: 3 of 6 inputs predicted'
    for line, name in zip(lines[1:], ('half.jpg', 'note.txt', 'b/bad.mp4'), strict=True):
        assert str(photos / name) in line
    assert captured.err.endswith(
        'error: 3 of 6 inputs could not be read, listed above; the rest is done\n'
    )
    assert len(files(out / 'overlay')) == 3


@pytest.mark.parametrize('name', ['note.txt', 'bad.mp4'])
def test_a_single_broken_file_is_one_sentence(trained_file, tmp_path, capsys, name) -> None:
    (tmp_path / name).write_text('nothing')
    assert call(trained_file, tmp_path / name, '--out', tmp_path / 'out') == 2
    assert str(tmp_path / name) in error_of(capsys)
    assert files(tmp_path / 'out') == ['predictions.json']


def test_a_video_becomes_a_video_and_images(trained_file, segmenter, tmp_path, capsys) -> None:
    clip = write_video(tmp_path / 'clip.mp4', frames=5)
    out = tmp_path / 'out'
    assert call(trained_file, clip, '--out', out, *ALL, '--batch-size', 2) == 0
    assert '1 of 1 inputs predicted, 5 frames of video' in capsys.readouterr().out
    for kind in ('overlay', 'color'):
        with VideoFrames(str(out / f'{kind}/clip.mp4')) as frames:
            assert len(list(frames)) == 5 and frames.rate == pytest.approx(10)
    for kind in ('trainids', 'confidence'):
        assert files(out / kind) == [f'clip/{number:06d}.png' for number in range(5)]
    with VideoFrames(str(clip)) as frames:
        for number, frame in enumerate(frames):
            expected = segmenter(frame[..., ::-1]).labels
            assert np.mean(stored(out / f'trainids/clip/{number:06d}.png') != expected) < 1e-3
    assert call(trained_file, clip, '--out', out, *ALL) == 0
    assert '0 of 1 inputs predicted, 1 there already' in capsys.readouterr().out
    assert call(trained_file, clip, '--out', out, *ALL, '--force', '--max-frames', 2) == 0
    assert files(out / 'trainids') == ['clip/000000.png', 'clip/000001.png']


def test_an_interrupted_video_leaves_nothing(trained_file, tmp_path, monkeypatch) -> None:
    clip = write_video(tmp_path / 'clip.mp4', frames=3)
    count = iter(range(99))

    def interrupted(*arguments: object) -> np.ndarray:
        if next(count) > 2:
            raise KeyboardInterrupt
        return outputs_module.paint(*arguments)

    monkeypatch.setattr(predict_command, 'paint', interrupted)
    assert call(trained_file, clip, '--out', tmp_path / 'out', *ALL) == 130
    assert files(tmp_path / 'out') == ['predictions.json']


def test_a_camera_ends_with_ctrl_c(trained_file, tmp_path, monkeypatch, capsys) -> None:
    clip = str(write_video(tmp_path / 'clip.mp4', frames=9))
    capture = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, 'VideoCapture', lambda source: capture(clip if source == 4 else source)
    )
    count = iter(range(99))

    def interrupted(*arguments: object) -> np.ndarray:
        if next(count) == 3:
            raise KeyboardInterrupt
        return outputs_module.paint(*arguments)

    monkeypatch.setattr(predict_command, 'paint', interrupted)
    monkeypatch.chdir(tmp_path)
    assert call(trained_file, '4', '--out', tmp_path / 'out') == 0
    assert '1 of 1 inputs predicted, 3 frames of video' in capsys.readouterr().out
    (name,) = files(tmp_path / 'out/overlay')
    assert name.startswith('camera4_') and name.endswith('.mp4')
    with VideoFrames(str(tmp_path / 'out/overlay' / name)) as frames:
        assert len(list(frames)) == 3


def test_a_camera_that_ends_before_its_first_frame_leaves_nothing(
    trained_file, tmp_path, monkeypatch
) -> None:
    clip = str(write_video(tmp_path / 'clip.mp4', frames=9))
    capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, 'VideoCapture', lambda source: capture(clip))

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(predict_command, 'paint', interrupted)
    assert call(trained_file, '4', '--out', tmp_path / 'out', *ALL) == 130
    assert files(tmp_path / 'out') == ['predictions.json']


def _avi(path: Path, frames: int) -> bytes:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*'MJPG'), 10, (96, 64))
    for number in range(frames):
        writer.write(photo(number))
    writer.release()
    return path.read_bytes()


def test_a_video_that_is_cut_off_is_a_broken_input(trained_file, photos, tmp_path, capsys) -> None:
    whole = _avi(photos / 'cut.avi', 40)
    (photos / 'cut.avi').write_bytes(whole[: len(whole) // 2])
    with VideoFrames(str(photos / 'cut.avi')) as frames:
        left = len(list(frames))
    sentence = f"the video '{photos / 'cut.avi'}' ends after {left} of 40 frames: "
    out = tmp_path / 'out'
    arguments = ['--out', out, '--save', 'overlay', 'trainids']
    for done in ('3 of 4 inputs predicted', '0 of 4 inputs predicted, 3 there already'):
        assert call(trained_file, photos, *arguments) == 1  # each time
        printed = capsys.readouterr()
        assert done in printed.out and f'  {sentence}' in printed.out
        assert '1 of 4 inputs could not be read' in printed.err
        assert not list(out.rglob('*cut*'))
    assert call(trained_file, photos / 'cut.avi', *arguments) == 2
    assert error_of(capsys).startswith(sentence)
    assert call(trained_file, photos / 'cut.avi', *arguments, '--max-frames', left) == 0
    assert len(files(out / 'trainids/cut')) == left


@pytest.mark.parametrize('options', [(), ('--max-frames', 50), ('--max-frames', 40)])
def test_frames_that_did_not_come_are_told(trained_file, tmp_path, capsys, options) -> None:
    clip, out = tmp_path / 'clip.avi', tmp_path / 'out'
    whole = bytearray(_avi(clip, 40))
    whole[48:52] = (60).to_bytes(4, 'little')  # dwTotalFrames
    length = whole.index(b'strh') + 8 + 32
    whole[length : length + 4] = (60).to_bytes(4, 'little')
    clip.write_bytes(whole)
    assert call(trained_file, clip, '--out', out, *options) == 0
    printed = capsys.readouterr().out
    note = (
        f"  the video '{clip}' announces 60 frames and gave 40: see that nothing is missing; longer sound and a "
        'trimmed beginning are harmless\n'
    )
    assert printed.endswith(note if options != ('--max-frames', 40) else '40 frames of video\n')
    with VideoFrames(str(out / 'overlay/clip.mp4')) as frames:
        assert len(list(frames)) == 40


def test_a_video_that_cannot_be_written_ends_the_run(
    trained_file, tmp_path, capsys, monkeypatch
) -> None:
    clip, out = write_video(tmp_path / 'clip.mp4', frames=3), tmp_path / 'out'
    assert call(trained_file, clip, '--out', out, *ALL) == 0
    before = {name: (out / name).read_bytes() for name in files(out)}
    monkeypatch.setattr(videos, '_count_frames', lambda path, most: most - 1)
    assert call(trained_file, clip, '--out', out, *ALL, '--force') == 1
    assert "overlay/clip.mp4' cannot be written (of 3 frames 2 can be read back)" in error_of(
        capsys
    )
    assert {name: (out / name).read_bytes() for name in files(out)} == before

    def full(*arguments: object) -> None:
        raise OSError(28, 'No space left on device')

    for name in ('check_free_space', 'write_atomically'):
        with monkeypatch.context() as patch:
            patch.setattr(videos, name, full)
            assert call(trained_file, clip, '--out', out, *ALL, '--force') == 1
        assert 'cannot be written (No space left on device)' in error_of(capsys)
        assert {name: (out / name).read_bytes() for name in files(out)} == before


def test_inputs_are_not_replaced(trained_file, photos, tmp_path, capsys) -> None:
    (photos / 'one.jpg').write_bytes((photos / 'two.jpg').read_bytes())
    assert call(trained_file, photos, '--out', tmp_path / 'out') == 2
    assert 'would have one prediction' in error_of(capsys)
    (tmp_path / 'overlay').mkdir()
    target = tmp_path / 'overlay/one.png'
    target.write_bytes((photos / 'one.png').read_bytes())
    before = target.read_bytes()
    arguments = [target, '--out', tmp_path, '--force']
    assert call(trained_file, *arguments) == 2
    assert 'would replace the file' in error_of(capsys)
    assert target.read_bytes() == before


def test_the_folder_of_the_photos_may_take_the_outputs(trained_file, photos, capsys) -> None:
    for kept in (0, 3):
        assert call(trained_file, photos, '--out', photos) == 0
        assert f'{3 - kept} of 3 inputs predicted' in capsys.readouterr().out
    assert len(files(photos / 'overlay')) == 3


def test_a_folder_without_the_right_to_write_is_one_sentence(
    trained_file, photos, tmp_path, capsys, monkeypatch
) -> None:
    (tmp_path / 'file').write_text('')
    out = tmp_path / 'file/out'
    assert call(trained_file, photos, '--out', out) == 2
    assert error_of(capsys) == (
        f"nothing can be written into '{out}' (Not a directory): expected a folder with the right to write; name "
        'another with --out'
    )
    if os.geteuid():  # root may write everywhere
        (tmp_path / 'locked').mkdir(mode=0o500)
        assert call(trained_file, photos, '--out', tmp_path / 'locked') == 2
        assert 'Permission denied' in error_of(capsys)

    def full(*arguments: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(outputs_module, 'write_atomically', full)
    assert call(trained_file, photos, '--out', tmp_path / 'out') == 1
    assert 'cannot be written (No space left on device)' in error_of(capsys)


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        (['--batch-size', '0'], '--batch-size is 0: expected 1 or more; correct it'),
        (['--max-frames', '0'], '--max-frames is 0: expected 1 or more; correct it'),
        (['--opacity', '1.5'], '--opacity is 1.5: expected 0 to 1; correct it'),
        (
            ['--cfg-options', 'a=1'],
            '--cfg-options changes a config: name it with --config, or leave it out',
        ),
        (
            ['--save', 'trainids', 'color', '--opacity', '0.9'],
            '--opacity is that of an overlay, and --save names trainids and color: leave --opacity out, or add overlay '
            'to --save',
        ),
        (
            ['--max-frames', '3'],
            '--max-frames is for videos and cameras, and all inputs are images: leave it out',
        ),
    ],
)
def test_wrong_numbers_are_one_sentence(trained_file, photos, capsys, arguments, sentence) -> None:
    assert call(trained_file, photos, *arguments) == 2
    assert error_of(capsys) == sentence


def test_the_tool_takes_a_config_amp_and_workers(project, photos, tmp_path, monkeypatch) -> None:
    tool = load_tool('tools/predict.py')
    arguments = [
        '--config',
        project / 'tiny.py',
        '--out',
        tmp_path / 'out',
        '--amp',
        '--workers',
        1,
    ]
    assert run_tool(tool, monkeypatch, project / 'bare.pth', photos, *arguments) == 0
    assert len(files(tmp_path / 'out/overlay')) == 3
