"""Videos in and out: every frame, its rate, and nothing half written."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tool_project import photo
from trained_file import write_video

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.prediction.videos import FrameFolder, VideoFile, VideoFrames, quiet_decoder


def test_every_frame_comes_in_order(tmp_path) -> None:
    path = write_video(tmp_path / 'a.mp4', frames=4, rate=12)
    with VideoFrames(str(path)) as frames:
        found = list(frames)
    assert len(found) == 4 and frames.count == 4
    assert frames.rate == pytest.approx(12)
    for number, frame in enumerate(found):  # compression: near this one, far from the others
        distances = [np.abs(frame.astype(float) - photo(other)).mean() for other in range(4)]
        assert int(np.argmin(distances)) == number


@pytest.mark.parametrize('content', [b'', b'no video' * 99])
def test_no_frame_is_one_sentence(tmp_path, content) -> None:
    quiet_decoder()
    path = tmp_path / 'a.mp4'
    path.write_bytes(content)
    with pytest.raises(UserInputError) as caught:
        VideoFrames(str(path))
    assert str(caught.value) == (
        f"the video '{path}' holds no frame that can be decoded: expected a whole video file (MP4, AVI, MKV, …); "
        'copy it again or convert it, for example `ffmpeg -i FILE out.mp4`'
    )


def test_no_camera_is_one_sentence(monkeypatch) -> None:
    closed = cv2.VideoCapture('/no/such/camera')
    monkeypatch.setattr(cv2, 'VideoCapture', lambda source: closed)
    with pytest.raises(UserInputError, match='^the camera 3 gives no frame: expected one that is'):
        VideoFrames(3)


def test_a_video_gets_its_name_when_it_is_whole(tmp_path) -> None:
    path = tmp_path / 'out/a.mp4'
    video = VideoFile(path, 10, (96, 64))
    video.write(photo(1))
    assert not path.exists()
    video.finish()
    with VideoFrames(str(path)) as frames:
        assert len(list(frames)) == 1
    before = path.read_bytes()
    video = VideoFile(path, 10, (96, 64))
    video.write(photo(2))
    video.discard()
    assert [file.read_bytes() for file in path.parent.iterdir()] == [before]


def test_frames_get_their_folder_when_they_are_whole(tmp_path) -> None:
    path = tmp_path / 'out/a'
    for count in (3, 2):  # the second time fewer: none of the first may stay
        folder = FrameFolder(path)
        for number in range(count):
            folder.write(np.full((2, 3), number, np.uint8))
        folder.finish()
        assert sorted(file.name for file in path.iterdir()) == [
            f'{n:06d}.png' for n in range(count)
        ]
    assert cv2.imread(str(path / '000001.png'), cv2.IMREAD_UNCHANGED).tolist() == [[1] * 3] * 2
    folder = FrameFolder(path)
    folder.write(np.zeros((2, 3), np.uint8))
    folder.discard()
    assert len(list(path.iterdir())) == 2 and len(list(path.parent.iterdir())) == 1


def test_a_folder_with_other_files_is_left_alone(tmp_path) -> None:
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a/thesis.tex').write_text('mine')
    with pytest.raises(UserInputError, match="holds 'thesis.tex' beside frames"):
        FrameFolder(tmp_path / 'a')
    assert (tmp_path / 'a/thesis.tex').read_text() == 'mine'
