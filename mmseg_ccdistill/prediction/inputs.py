"""What a user names to be predicted: image files, folders, patterns, videos, a camera."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..curation.audit.listing import list_files
from ..datasets.image_facts import UnreadableFileError, read_facts
from ..errors import UserInputError
from ..evaluation.prediction_files import root_of_images
from .pictures import BrokenPicture

#: Endings of files that are read as videos.
VIDEO_SUFFIXES = ('.avi', '.m4v', '.mjpeg', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm', '.wmv')  # fmt: skip


@dataclass(frozen=True)
class Inputs:
    """What is to be predicted.

    Attributes:
        images: Files, in the order in which they were named; those of a folder sorted.
        videos: Video files.
        cameras: Numbers of cameras.
        root: Folder from which outputs keep the folders of their inputs.
        no_images: Files that would have the name of an image, ``a.json`` beside ``a.jpg``, and are none.
    """

    images: tuple[str, ...]
    videos: tuple[str, ...]
    cameras: tuple[int, ...]
    root: str
    no_images: tuple[BrokenPicture, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Images, then videos."""
        return self.images + self.videos

    def __len__(self) -> int:
        """Number of inputs."""
        return len(self.files) + len(self.cameras) + len(self.no_images)


def is_video(path: str) -> bool:
    """Whether a file is read as a video."""
    return path.lower().endswith(VIDEO_SUFFIXES)


def no_image_reason(path: str) -> str | None:
    """Why a file is no image, by its header, in a few words; None for an image."""
    try:
        read_facts(path, with_values=False)
    except UnreadableFileError as error:
        return str(error)
    return None


def find_inputs(names: Sequence[str], outputs: Sequence[str | os.PathLike[str]] = ()) -> Inputs:
    """Find the files that some names stand for.

    Args:
        names: Files, folders (with all below them), patterns such as ``'night/**/*.jpg'``, numbers of cameras.
        outputs: Folders of outputs; what a folder or a pattern has in them is no input.

    Returns:
        The files, each once.

    Raises:
        UserInputError: If a name stands for nothing.
    """
    files: list[str] = []
    folders: list[str] = []
    cameras: list[int] = []
    for name in names:
        if os.path.isdir(name):
            found = _outside(list_files(name, ''), outputs)
            folders.append(name)
        elif os.path.exists(name):
            found = [name]
            folders.append(os.path.dirname(os.path.abspath(name)))
        elif name.isdecimal():
            cameras.append(int(name))
            continue
        else:
            found = _outside(_matches(name), outputs)
            folders.append(_fixed_part(name))
        if not found:
            raise UserInputError(
                f'the input {name!r} holds no file: expected an image, a video, a folder or pattern of them, or the '
                'number of a camera; correct it'
            )
        files += found
    files = list(dict.fromkeys(files))
    videos = [path for path in files if is_video(path)]
    images = [path for path in files if not is_video(path)]
    bearers = Counter(map(_stem, images))
    alike = [path for path in images if bearers[_stem(path)] > 1]
    none = {path: reason for path in alike if (reason := no_image_reason(path)) is not None}
    return Inputs(
        images=tuple(path for path in images if path not in none),
        videos=tuple(videos),
        cameras=tuple(cameras),
        root=root_of_images(files, folders) if files else '',
        no_images=tuple(map(BrokenPicture, none.keys(), none.values())),
    )


def _stem(path: str) -> str:
    return os.path.splitext(os.path.abspath(path))[0]


def _matches(pattern: str) -> list[str]:
    """Files of a pattern, sorted."""
    if not glob.has_magic(pattern):
        raise UserInputError(
            f'the input {pattern!r} does not exist: expected an image, a video, a folder or pattern of them, or the '
            'number of a camera; correct it'
        )
    return sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))


def _fixed_part(pattern: str) -> str:
    """The folder before the first wildcard of a pattern."""
    fixed: list[str] = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return os.path.join(*fixed) if fixed else '.'


def _outside(paths: Sequence[str], folders: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The paths that are neither one of some folders or files nor below one."""
    above = {Path(os.path.abspath(folder)) for folder in folders}
    return [
        path
        for path in paths
        if above.isdisjoint((full := Path(os.path.abspath(path)), *full.parents))
    ]
