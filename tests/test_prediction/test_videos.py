"""Videos in and out: every frame, its rate, and nothing half written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tool_project import photo
from trained_file import write_video

from mmseg_ccdistill.errors import RunError, UserInputError
from mmseg_ccdistill.prediction import videos
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


_FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from mmseg_ccdistill.errors import RunError
from mmseg_ccdistill.prediction.videos import VideoFile

video = VideoFile(Path(sys.argv[1]), 10, (320, 240))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
noise = np.random.default_rng(0)
for _ in range(30):
    video.write(noise.integers(0, 255, (240, 320, 3), np.uint8))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
try:
    video.finish()
except RunError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize('limits', [(50_000, 50_000), (50_000, -1), (-1, 50_000), (-1, 600_000)])
def test_a_full_disk_leaves_the_old_video(tmp_path, limits) -> None:
    path = write_video(tmp_path / 'a.mp4', frames=2)
    before = path.read_bytes()
    command = [sys.executable, '-c', _FULL, str(path), *map(str, limits)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        f"'{path}' cannot be written (of 30 frames 0 can be read back), what was written before is whole: expected a "
        'folder with room and the right to write; make room, and run the command again, it goes on there',
    )
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


@pytest.mark.parametrize(('written', 'found'), [(2, 2), (0, 0)])
def test_a_video_that_lacks_frames_gets_no_name(tmp_path, monkeypatch, written, found) -> None:
    video = VideoFile(tmp_path / 'a.mp4', 10, (96, 64))
    for number in range(3):
        if number == written:
            monkeypatch.setattr(video, '_writer', _Deaf(video._writer))
        video.write(photo(number))
    with pytest.raises(RunError, match=f'of 3 frames {found} can be read back'):
        video.finish()
    assert list(tmp_path.iterdir()) == []


class _Deaf:
    """A writer that says nothing and writes nothing more."""

    def __init__(self, writer: cv2.VideoWriter) -> None:
        self.release = writer.release

    def write(self, image: np.ndarray) -> None:
        pass


def _full(*arguments: object) -> None:
    raise OSError(28, 'No space left on device')


def test_a_disk_that_fills_up_ends_a_video_at_once(tmp_path, monkeypatch) -> None:
    video = VideoFile(tmp_path / 'a.mp4', 10, (96, 64))
    monkeypatch.setattr(videos, 'check_free_space', _full)
    for begin in (
        lambda: video.write(photo(1)),
        lambda: VideoFile(tmp_path / 'b.mp4', 10, (96, 64)),
    ):
        with pytest.raises(RunError, match=r'mp4. cannot be written \(No space left on device\)'):
            begin()
    video.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_numbered_images_in_one_sentence(tmp_path, monkeypatch) -> None:
    folder = FrameFolder(tmp_path / 'a')
    monkeypatch.setattr(videos, 'write_atomically', _full)
    with pytest.raises(
        RunError, match=r'000000.png. cannot be written \(No space left on device\)'
    ):
        folder.write(photo(1))
    (tmp_path / 'file').write_text('')
    for sink in (
        lambda: FrameFolder(tmp_path / 'file/a'),
        lambda: VideoFile(tmp_path / 'file/a.mp4', 10, (96, 64)),
    ):
        with pytest.raises(RunError, match=r'cannot be written \((Not a directory|File exists)\)'):
            sink()


@pytest.mark.parametrize(
    'rate',
    [239.1234, 142.857, 90.123, 999.99, 655.351, 65.5351, 29.97002997, 59.94, 1000, 25, 1 / 3, 0.001, 1e-5],
)  # fmt: skip
def test_every_rate_can_be_written(tmp_path, rate) -> None:
    path = tmp_path / 'a.mp4'
    video = VideoFile(path, rate, (96, 64))
    for number in range(3):
        video.write(photo(number))
    video.finish()
    with VideoFrames(str(path)) as frames:
        assert len(list(frames)) == 3
        assert frames.rate == pytest.approx(rate, rel=1e-4, abs=2e-3)


def test_an_odd_size_loses_its_last_row_and_column(tmp_path) -> None:
    video = VideoFile(tmp_path / 'a.mp4', 10, (95, 63))
    video.write(photo(1)[:63, :95])
    video.finish()
    with VideoFrames(str(tmp_path / 'a.mp4')) as frames:
        assert frames.first.shape == (62, 94, 3)
        assert np.abs(frames.first.astype(int) - photo(1)[:62, :94]).mean() < 30


def write_kind(path: Path, codec: str, frames: int) -> bytes:
    """A video of noise in the container of its ending."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (96, 64))
    if not writer.isOpened():
        pytest.skip(f'this OpenCV writes no {codec} in {path.suffix}')
    noise = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(noise.integers(0, 255, (64, 96, 3), np.uint8))
    writer.release()
    return path.read_bytes()


def with_index_first(content: bytes) -> bytes:
    """An MP4 as it is laid for streaming: its index, ``moov``, before the frames."""
    at = content.index(b'moov') - 4
    index, frames = bytearray(content[at:]), content[:at]
    table = index.index(b'stco') + 8
    data = content.index(b'mdat') - 4
    for entry in range(int.from_bytes(index[table : table + 4], 'big')):
        place = slice(table + 4 + 4 * entry, table + 8 + 4 * entry)
        index[place] = (int.from_bytes(index[place], 'big') + len(index)).to_bytes(4, 'big')
    return frames[:data] + bytes(index) + frames[data:]


CONTAINERS = [
    ('avi', 'MJPG'),
    ('avi', 'mp4v'),
    ('mkv', 'mp4v'),
    ('mkv', 'MJPG'),
    ('webm', 'VP80'),
    ('mp4', 'mp4v'),
]


@pytest.mark.parametrize(('ending', 'codec'), CONTAINERS)
@pytest.mark.parametrize('share', [0.3, 0.5, 0.8])
def test_a_video_that_is_cut_off_is_one_sentence(tmp_path, ending, codec, share) -> None:
    path = tmp_path / f'a.{ending}'
    whole = write_kind(path, codec, 40)
    if ending == 'mp4':
        whole = with_index_first(whole)
    path.write_bytes(whole)
    with VideoFrames(str(path)) as frames:
        frames.check_whole(None)
        assert len(list(frames)) == 40
    path.write_bytes(whole[: int(len(whole) * share)])
    with VideoFrames(str(path)) as frames:
        left = len(list(frames))
    assert 0 < left < 38
    with VideoFrames(str(path)) as frames:
        for most in (None, left + 3, 40, 99):
            with pytest.raises(UserInputError) as caught:
                frames.check_whole(most)
            assert str(caught.value) == (
                f"the video '{path}' ends after {left} of 40 frames: expected a whole file; copy it again, or pass "
                f'--max-frames {left} to predict what is there'
            )
        frames.check_whole(left)
        assert len(list(frames)) == left  # none was taken by the check


@pytest.mark.parametrize(('ending', 'codec'), CONTAINERS)
def test_a_video_with_a_tail_or_without_a_size_is_whole(tmp_path, ending, codec) -> None:
    path = tmp_path / f'a.{ending}'
    whole = write_kind(path, codec, 40)
    contents = [whole + b'notes of a camera' * 99, whole + bytes(999)]
    if ending == 'avi':
        contents += [whole[:4] + size + whole[8:] for size in (bytes(4), b'\xff' * 4)]
    if ending in ('mkv', 'webm'):  # as a camera writes it that cannot go back
        size = whole.index(b'\x18\x53\x80\x67') + 4
        contents.append(whole[:size] + b'\x01' + b'\xff' * 7 + whole[size + 8 :])
    for content in contents:
        path.write_bytes(content)
        with VideoFrames(str(path)) as frames:
            frames.check_whole(None)
