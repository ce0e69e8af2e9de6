"""Videos and cameras: frames in, painted videos and numbered label images out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from ..errors import UserInputError
from ..runtime.atomic_file import UNFINISHED, write_atomically

#: Frames per second where a video or a camera does not say.
_DEFAULT_RATE = 25.0
#: MPEG-4 part 2, which every build of OpenCV writes.
_CODEC = 'mp4v'


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


class VideoFile:
    """A video that gets its name when it is whole.

    Args:
        path: ``.mp4`` file.
        rate: Frames per second.
        size: Width and height.

    Raises:
        UserInputError: If it cannot be written.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int]) -> None:
        self.path = path
        self._draft = path.with_name(f'.{path.stem}{UNFINISHED}{path.suffix}')
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = cv2.VideoWriter.fourcc(*_CODEC)
        self._writer = cv2.VideoWriter(str(self._draft), codec, rate, size)
        if not self._writer.isOpened():
            raise UserInputError(
                f'the video {str(path)!r} cannot be written: expected an OpenCV with FFmpeg and a folder with the '
                'right to write; choose --save trainids, which writes images'
            )

    def write(self, image: np.ndarray) -> None:
        """Add a frame, ``(H, W, 3)`` BGR uint8."""
        self._writer.write(image)

    def finish(self) -> None:
        """Close the file and give it its name."""
        self._writer.release()
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
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._draft = path.with_name(f'.{path.name}{UNFINISHED}')
        for folder in (path, self._draft):
            _check_frames_alone(folder)
        _remove_frames(self._draft)
        self._draft.mkdir(parents=True)
        self._number = 0

    def write(self, image: np.ndarray) -> None:
        """Add an image, uint8 or uint16."""
        content = cv2.imencode('.png', image)[1].tobytes()
        write_atomically(self._draft / f'{self._number:06d}.png', content)
        self._number += 1

    def finish(self) -> None:
        """Give the folder its name; an old one of frames is replaced."""
        _remove_frames(self.path)
        os.replace(self._draft, self.path)

    def discard(self) -> None:
        """Remove the folder."""
        _remove_frames(self._draft)


def _check_frames_alone(folder: Path) -> None:
    others = [path.name for path in folder.iterdir() if not _is_frame(path)] if folder.is_dir() else []  # fmt: skip
    if others:
        raise UserInputError(
            f'the folder {str(folder)!r} holds {others[0]!r} beside frames: expected frames of an earlier '
            'prediction alone; choose another --out'
        )


def _is_frame(path: Path) -> bool:
    name = Path(path.name.removesuffix(UNFINISHED))
    return path.is_file() and name.stem.isdecimal() and name.suffix == '.png'


def _remove_frames(folder: Path) -> None:
    if folder.is_dir():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
