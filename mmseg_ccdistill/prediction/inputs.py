"""What a user names to be predicted: image files, folders, patterns, videos, a camera."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..curation.audit.listing import list_files
from ..errors import UserInputError
from ..evaluation.prediction_files import root_of_images

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
    """

    images: tuple[str, ...]
    videos: tuple[str, ...]
    cameras: tuple[int, ...]
    root: str

    def __len__(self) -> int:
        """Number of inputs."""
        return len(self.images) + len(self.videos) + len(self.cameras)


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
    videos = [path for path in files if path.lower().endswith(VIDEO_SUFFIXES)]
    images = [path for path in files if not path.lower().endswith(VIDEO_SUFFIXES)]
    root = root_of_images(files, folders) if files else ''
    return Inputs(tuple(images), tuple(videos), tuple(cameras), root)


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
