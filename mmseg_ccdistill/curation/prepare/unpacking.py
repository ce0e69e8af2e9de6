"""Bring archives and unpacked folders into the published layout below one root.

All checks come first; then each file is written under a temporary name, always the same, and
renamed. A run that was interrupted can be run again: what is there and equal is kept, what is there
and different is an error, and nothing is ever overwritten.
"""

from __future__ import annotations

import fcntl
import filecmp
import os
import shutil
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, NamedTuple

from ...datasets.file_scan import map_parallel
from ...datasets.published_sets import PublishedSet
from ...runtime.atomic_file import UNFINISHED
from .archives import Limits, Member, PreparationError, list_members, read_members
from .targets import Targets, assign_targets, claim, list_folder

_BLOCK = 2**20  # bytes read at once


class Placed(NamedTuple):
    """What :func:`place_sources` did.

    Attributes:
        written: Files that were unpacked, linked or copied.
        kept: Files that were there already.
        left_out: Members that belong to no folder of the set.
    """

    written: int
    kept: int
    left_out: int


def place_sources(
    sources: Sequence[str],
    root: str,
    published: PublishedSet,
    copy: bool = False,
    limits: Limits | None = None,
) -> Placed:
    """Unpack archives and link folders so that the root has the published layout.

    Folders around the published ones (``bdd100k/``, a folder named after the archive) are taken
    off. Documents of an archive (README, LICENSE) go to ``documents/<archive>/``.

    Args:
        sources: Zip or tar files, or folders that were unpacked before. The files of a folder are
            linked one by one, so that new files beside them stay out of the source.
        root: Root folder of the set; made if it does not exist.
        published: The set.
        copy: Copy the files of folders instead of linking them.
        limits: Bounds of an archive.

    Raises:
        PreparationError: If a source is missing, unsafe or of another set, if a file is there with
            other contents, or if the disk is too full; nothing has been written then, except when
            a damaged member shows only while it is unpacked.
    """
    with _made_folder(root) as resolved, _lock(resolved, root):
        plans: list[tuple[str, Targets]] = []
        taken: dict[str, tuple[str, str, Member]] = {}
        left_out = 0
        for source in sources:
            in_folder = os.path.isdir(source)
            members = list_folder(source) if in_folder else list_members(source, limits)
            targets = assign_targets(source, members, published)
            left_out += len(members) - len(targets)
            claim(source, targets, taken)
            plans.append((source, targets))
        total = sum(len(targets) for _, targets in plans)
        for source, targets in plans:
            _drop_existing(source, targets, resolved)
        _check_space(plans, resolved, root, copy)
        written = 0
        for source, targets in plans:
            if os.path.isdir(source):
                written += _place_folder(source, targets, resolved, copy)
            elif targets:
                written += _place_archive(source, targets, resolved)
    return Placed(written, total - written, left_out)


@contextmanager
def _made_folder(root: str) -> Iterator[str]:
    """Make the root if need be; a refused source does not leave an empty one behind."""
    was_there = os.path.isdir(root)
    os.makedirs(root, exist_ok=True)
    try:
        yield os.path.realpath(root)
    except BaseException:
        if not was_there and not os.listdir(root):
            os.rmdir(root)
        raise


@contextmanager
def _lock(resolved: str, root: str) -> Iterator[None]:
    """Keep a second run away from the same root; the lock ends with the process."""
    handle = os.open(resolved, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PreparationError(
                f'The root {root!r} is being prepared by another process: '
                'expected one at a time; wait for it to end.'
            ) from error
        except OSError:
            pass  # a network file system without locks
        yield
    finally:
        os.close(handle)


def _drop_existing(source: str, targets: Targets, root: str) -> None:
    """Take what is there already out of the plan, and refuse to overwrite what differs."""
    for folder in sorted({os.path.dirname(target) for _, target in targets.values()}):
        _check_inside(root, folder)
    # A link whose source is gone counts as nothing.
    here = [name for name, (_, target) in targets.items() if os.path.exists(f'{root}/{target}')]

    def is_equal(name: str) -> bool:
        member, target = targets[name]
        path = os.path.join(root, target)
        if not os.path.isfile(path) or os.path.getsize(path) != member.size:
            return False
        if os.path.isdir(source):
            origin = os.path.join(source, name)
            return os.path.samefile(path, origin) or filecmp.cmp(path, origin, shallow=False)
        return member.crc is None or _file_crc(path) == member.crc

    title = f'Comparing with {os.path.basename(os.path.normpath(source))}'
    for name, equal in zip(here, map_parallel(is_equal, here, title), strict=True):
        member, target = targets[name]
        if not equal:
            _refuse_overwriting(os.path.join(root, target), name, source)
        if member.crc is not None or os.path.isdir(source):
            del targets[name]  # a tar file tells its contents only while it is read


def _refuse_overwriting(path: str, name: str, source: str) -> None:
    raise PreparationError(
        f'The file {path!r} is there with other contents: expected that of {name!r} in '
        f'{source!r}; move it away or give another --root.'
    )


def _check_inside(root: str, folder: str) -> None:
    """Refuse a folder below a link that leads out of the root."""
    path = root
    for part in folder.split('/'):
        path = os.path.join(path, part)
        real = os.path.realpath(path)
        if not real.startswith(root.rstrip(os.sep) + os.sep):
            raise PreparationError(
                f'The folder {path!r} is a link that leads out of the root, to {real!r}: expected '
                'folders inside the root; remove the link and give the folder it leads to as a '
                'source.'
            )


def _check_space(
    plans: Sequence[tuple[str, Targets]], resolved: str, root: str, copy: bool
) -> None:
    needed = sum(
        member.size
        for source, targets in plans
        if copy or not os.path.isdir(source)
        for member, _ in targets.values()
    )
    free = shutil.disk_usage(resolved).free
    if needed > free:
        raise PreparationError(
            f'The disk of {root!r} has {free / 1e9:.1f} GB left: expected {needed / 1e9:.1f} GB '
            'for the files to unpack; free some, or give a --root on another disk.'
        )


def _place_folder(source: str, targets: Targets, root: str, copy: bool) -> int:
    locks = _target_locks(targets)

    def place(name: str) -> bool:
        target = _make_parent(root, targets[name][1])
        origin = os.path.realpath(os.path.join(source, name))
        temporary = target + UNFINISHED
        with locks[targets[name][1]]:
            if os.path.lexists(temporary):
                os.unlink(temporary)
            if copy:
                shutil.copyfile(origin, temporary)
            else:
                os.symlink(origin, temporary)
            return _settle(temporary, target, name, source)

    title = f'{"Copying" if copy else "Linking"} {os.path.basename(os.path.normpath(source))}'
    return sum(map_parallel(place, list(targets), title))


def _place_archive(source: str, targets: Targets, root: str) -> int:
    written = []
    locks = _target_locks(targets)

    def place(name: str, stream: IO[bytes]) -> None:
        member, target = targets[name]
        path = _make_parent(root, target)
        with locks[target]:
            _write_stream(stream, path + UNFINISHED, member, source)
            written.append(_settle(path + UNFINISHED, path, name, source))

    read_members(source, targets, place, f'Unpacking {os.path.basename(source)}')
    return sum(written)


def _target_locks(targets: Targets) -> dict[str, threading.Lock]:
    """A lock for each file to be made: two members may become one, and threads place them."""
    return {target: threading.Lock() for _, target in targets.values()}


def _write_stream(stream: IO[bytes], temporary: str, member: Member, source: str) -> None:
    """Write a member, no more than its table of contents tells."""
    size = 0
    if os.path.lexists(temporary):  # of a run that was killed, maybe a link into a source
        os.unlink(temporary)
    try:
        with open(temporary, 'xb') as file:
            while block := stream.read(_BLOCK):
                size += len(block)
                if size > member.size:
                    break
                file.write(block)
        if size != member.size:
            raise PreparationError(
                f'The archive {source!r} is damaged: {member.name!r} has not the {member.size} '
                'bytes that its table of contents tells; download it again.'
            )
    except BaseException:
        os.unlink(temporary)
        raise


def _settle(temporary: str, target: str, name: str, source: str) -> bool:
    """Rename a complete file; False if an equal one is there, which is kept."""
    if not os.path.exists(target):
        os.replace(temporary, target)
        return True
    equal = os.path.isfile(target) and filecmp.cmp(temporary, target, shallow=False)
    os.unlink(temporary)
    if not equal:
        _refuse_overwriting(target, name, source)
    return False


def _make_parent(root: str, target: str) -> str:
    path = os.path.join(root, target)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def _file_crc(path: str) -> int:
    crc = 0
    with open(path, 'rb') as file:
        while block := file.read(_BLOCK):
            crc = zlib.crc32(block, crc)
    return crc
