"""Videos and cameras: frames in, painted videos and numbered label images out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from ..errors import UserInputError
from ..runtime.atomic_file import UNFINISHED, check_free_space, write_atomically
from .cut_videos import is_cut_off
from .writing import unwritten, writing

#: Frames per second where a video or a camera does not say.
_DEFAULT_RATE = 25.0
#: MPEG-4 part 2, which every build of OpenCV writes.
_CODEC = 'mp4v'
#: The largest whole number in a rate of MPEG-4 part 2, and the slowest rate that OpenCV writes.
_LARGEST_TERM, _SLOWEST = 65535, 0.002
#: Frames that a file may announce and not hold: containers and decoders count the ends differently.
_SPARE_FRAMES = 2


def quiet_decoder() -> None:
    """Keep FFmpeg's own lines about broken files off the console; a setting of the user's stays."""
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # AV_LOG_QUIET


class VideoFrames:
    """The frames of a video file or a camera; to be used in a ``with`` statement.

    Args:
        source: Path of a file, or number of a camera.

    Attributes:
        rate: Frames per second.
        count: Frames that a file announces; 0 for a camera.
        first: The first frame, ``(H, W, 3)`` BGR uint8.

    Raises:
        UserInputError: If there is no frame.
    """

    def __init__(self, source: str | int) -> None:
        self._source = source
        self._capture = cv2.VideoCapture(source)
        found, self.first = self._capture.read()
        if not found:
            self._capture.release()
            raise UserInputError(_no_frame(source))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= 1000 else _DEFAULT_RATE
        announced = 0 if isinstance(source, int) else self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = max(0, int(announced))

    def __enter__(self) -> VideoFrames:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file or the camera."""
        self._capture.release()

    def __iter__(self) -> Iterator[np.ndarray]:
        """The frames, ``(H, W, 3)`` BGR uint8, to the end of the file."""
        frame = self.first
        while True:
            yield frame
            found, frame = self._capture.read()
            if not found:
                return

    def check_whole(self, most: int | None) -> None:
        """Check that a file holds the frames that it announces, before any of them is used.

        Args:
            most: Number of frames that are asked for; None: all.

        Raises:
            UserInputError: If the file is cut off.
        """
        if isinstance(self._source, int) or not is_cut_off(self._source):
            return
        left = _count_frames(self._source, self.count)
        if left < self.needed(most):
            raise UserInputError(
                f'the video {self._source!r} ends after {left} of {self.count} frames: expected a whole file; copy it '
                f'again, or pass --max-frames {left} to predict what is there'
            )

    def needed(self, most: int | None) -> int:
        """Frames of a file that have to come.

        Args:
            most: Number of frames that are asked for; None: all.
        """
        announced = max(0, self.count - _SPARE_FRAMES)
        return announced if most is None else min(most, announced)


def _count_frames(path: str | os.PathLike[str], most: int) -> int:
    """Number of frames at the beginning of a file that can be decoded, up to ``most``."""
    capture = cv2.VideoCapture(os.fspath(path))
    try:
        return next((number for number in range(most) if not capture.grab()), most)
    finally:
        capture.release()


def _no_frame(source: str | int) -> str:
    if isinstance(source, int):
        return (
            f'the camera {source} gives no frame: expected one that is plugged in and that no other program uses; '
            'name another number, or a file'
        )
    return (
        f'the video {source!r} holds no frame that can be decoded: expected a whole video file (MP4, AVI, MKV, …); '
        'copy it again or convert it, for example `ffmpeg -i FILE out.mp4`'
    )


def _written_rate(rate: float) -> float:
    """The rate next to one that MPEG-4 takes; OpenCV writes a rate as its decimals over a power of ten."""
    decimals = next(d for d in (3, 2, 1, 0) if round(rate * 10**d) <= _LARGEST_TERM)
    return max(_SLOWEST, round(rate, decimals))


class VideoFile:
    """A video that gets its name when it is whole.

    Args:
        path: ``.mp4`` file.
        rate: Frames per second, up to 65535.
        size: Width and height; MPEG-4 leaves out the last row and column of odd ones.

    Raises:
        UserInputError: If OpenCV cannot write it.
        RunError: If there is no room.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int]) -> None:
        self.path = path
        self._draft = path.with_name(f'.{path.stem}{UNFINISHED}{path.suffix}')
        self._number = 0
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            check_free_space(path.parent, 3 * size[0] * size[1])
        codec = cv2.VideoWriter.fourcc(*_CODEC)
        self._writer = cv2.VideoWriter(str(self._draft), codec, _written_rate(rate), size)
        if not self._writer.isOpened():
            self.discard()
            raise UserInputError(
                f'the video {str(path)!r} cannot be written: expected an OpenCV with FFmpeg and a folder with the '
                'right to write; choose --save trainids, which writes images'
            )

    def write(self, image: np.ndarray) -> None:
        """Add a frame, ``(H, W, 3)`` BGR uint8.

        Raises:
            RunError: If there is no room for it.
        """
        with writing(self.path):
            check_free_space(self.path.parent, image.nbytes)  # the writer itself says nothing
        self._writer.write(image)
        self._number += 1

    def finish(self) -> None:
        """Close the file and give it its name.

        Raises:
            RunError: If it does not hold every frame; an old file stays.
        """
        self._writer.release()
        left = _count_frames(self._draft, self._number)
        if left < self._number or not left:
            self.discard()
            raise unwritten(self.path, f'of {self._number} frames {left} can be read back')
        with writing(self.path):
            os.replace(self._draft, self.path)

    def discard(self) -> None:
        """Close the file and remove it."""
        self._writer.release()
        self._draft.unlink(missing_ok=True)


class FrameFolder:
    """Numbered PNG images ``000000.png``, in a folder that gets its name when it is whole.

    Args:
        path: Folder.

    Raises:
        UserInputError: If it exists and holds anything else.
        RunError: If it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._draft = path.with_name(f'.{path.name}{UNFINISHED}')
        for folder in (path, self._draft):
            check_frames_alone(folder)
        with writing(path):
            remove_frames(self._draft)
            self._draft.mkdir(parents=True)
        self._number = 0

    def write(self, image: np.ndarray) -> None:
        """Add an image, uint8 or uint16.

        Raises:
            RunError: If it cannot be written.
        """
        content = cv2.imencode('.png', image)[1].tobytes()
        name = f'{self._number:06d}.png'
        with writing(self.path / name):
            write_atomically(self._draft / name, content)
        self._number += 1

    def finish(self) -> None:
        """Give the folder its name; an old one of frames is replaced.

        Raises:
            RunError: If it cannot be replaced.
        """
        with writing(self.path):
            remove_frames(self.path)
            os.replace(self._draft, self.path)

    def discard(self) -> None:
        """Remove the folder."""
        remove_frames(self._draft)


def check_frames_alone(folder: Path) -> None:
    """Check that a folder holds numbered images alone, if it is a folder.

    Raises:
        UserInputError: If it holds anything else.
    """
    others = [path.name for path in folder.iterdir() if not _is_frame(path)] if folder.is_dir() else []  # fmt: skip
    if others:
        raise UserInputError(
            f'the folder {str(folder)!r} holds {others[0]!r} beside frames: expected frames of an earlier '
            'prediction alone; choose another --out'
        )


def _is_frame(path: Path) -> bool:
    name = Path(path.name.removesuffix(UNFINISHED))
    return path.is_file() and name.stem.isdecimal() and name.suffix == '.png'


def remove_frames(folder: Path) -> None:
    """Remove a folder of numbered images, if it is one."""
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
