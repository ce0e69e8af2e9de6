"""Zip and tar archives from elsewhere: what they hold, and whether it is safe to unpack.

:func:`list_members` reads the table of contents and refuses an archive as a whole, before anything
is written. :func:`read_members` hands out the contents.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from typing import IO, NamedTuple

from ...datasets.file_scan import map_parallel, progress_bar
from ...errors import UserInputError

_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    LZMAError,
    EOFError,
    UnicodeDecodeError,  # a name that is not the UTF-8 it says it is
)
_MAX_NAME_BYTES = 255  # longest file name of the usual file systems
_SMALL = 2**20  # bytes; below this the ratio of an archive is not judged


class PreparationError(UserInputError):
    """A set that cannot be prepared.

    The message is one sentence: which file, what was expected, how to fix it.
    """


@dataclass(frozen=True)
class Limits:
    """Bounds of what one archive may unpack to; the largest published one stays well below.

    Attributes:
        files: Number of members, folders included.
        total_bytes: Size of all members together.
        ratio: Size of all members divided by the size of the archive. Images hardly shrink, text a
            few times.
    """

    files: int = 500_000
    total_bytes: int = 250 * 10**9
    ratio: float = 100.0


class Member(NamedTuple):
    """A regular file in an archive.

    Attributes:
        name: Path in the archive.
        size: Size in bytes.
        crc: CRC-32 of the contents; None where the archive does not tell (tar).
    """

    name: str
    size: int
    crc: int | None


def list_members(archive: str, limits: Limits | None = None) -> list[Member]:
    """Read the table of contents of an archive and make sure that it is safe to unpack.

    Args:
        archive: A zip or tar file (plain, gzip, bzip2 or xz).
        limits: Bounds of its contents. Defaults to :class:`Limits`.

    Returns:
        Its regular files, in the order of the archive.

    Raises:
        PreparationError: If it is no archive, is damaged or encrypted, or holds an absolute path, a
            ``..``, a link or device, two names that are one to some file system, or more than the
            limits allow.
    """
    limits = limits or Limits()
    members: list[Member] = []
    total = 0
    seen: dict[str, str] = {}
    packed = os.path.getsize(archive) if os.path.isfile(archive) else 0
    with _opened(archive) as (file, raw):
        for count, (name, size, crc, is_folder) in enumerate(_entries(archive, file, raw), 1):
            _check_name(archive, name)
            total += size
            _check_limits(archive, packed, count, total, limits)
            if is_folder:
                continue
            twin = seen.setdefault(one_name(name), name)
            if twin != name:
                raise PreparationError(
                    f'The archive {archive!r} holds {twin!r} and {name!r}, which differ only in '
                    'case or in the encoding of accents: expected names that every file system '
                    'keeps apart; download it again or unpack it by hand and give the folder.'
                )
            members.append(Member(name, size, crc))
        if isinstance(file, tarfile.TarFile):
            _read_to_end(archive, file, raw, packed, limits)
    double, count = next(iter(Counter(member.name for member in members).most_common(1)), ('', 0))
    if count > 1:
        raise PreparationError(
            f'The archive {archive!r} holds {double!r} twice: expected every file once; '
            'download it again.'
        )
    return members


def one_name(path: str) -> str:
    """The same text for all paths that are one to a file system that ignores case or the encoding of accents."""
    return unicodedata.normalize('NFC', path.casefold())


def read_members(
    archive: str, names: Collection[str], use: Callable[[str, IO[bytes]], None], title: str
) -> None:
    """Hand out the contents of some members, with a progress bar.

    Args:
        archive: The archive.
        names: Names of the members, as :func:`list_members` gives them.
        use: Called with name and stream for every member; from several threads for a zip file.
        title: Name of the bar.

    Raises:
        PreparationError: If a member is damaged.
    """
    with _opened(archive) as (file, _):
        if isinstance(file, zipfile.ZipFile):
            opened = file

            def unpack(name: str) -> None:
                with opened.open(name) as stream:
                    use(name, stream)

            for _ in map_parallel(unpack, list(names), title):
                pass
            return
        left = set(names)
        with progress_bar(len(left), title) as advance:
            for entry in file:
                if entry.name in left:
                    stream = file.extractfile(entry)
                    assert stream is not None  # only regular files are listed
                    use(entry.name, stream)
                    left.remove(entry.name)
                    advance()


@contextmanager
def _opened(archive: str) -> Iterator[tuple[zipfile.ZipFile | tarfile.TarFile, IO[bytes]]]:
    """Open an archive; its library's words for damage become a sentence."""
    if not os.path.isfile(archive):
        raise PreparationError(
            f'The archive {archive!r} does not exist: expected a zip or tar file; '
            'correct the path or download it.'
        )
    try:
        with open(archive, 'rb') as raw:
            if zipfile.is_zipfile(raw):
                with zipfile.ZipFile(raw) as zip_file:
                    yield zip_file, raw
            else:
                raw.seek(0)
                with tarfile.open(fileobj=raw) as tar_file:
                    yield tar_file, raw
    except NotImplementedError as error:
        raise PreparationError(
            f'The archive {archive!r} uses a compression that Python cannot read ({error}): '
            'expected stored or deflated members; unpack it by hand and give the folder.'
        ) from error
    except (*_DAMAGED, OSError) as error:
        # Damage also shows as an OSError of a decoder, without number, or of an impossible position.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise PreparationError(
            f'The archive {archive!r} cannot be read ({_what_is_wrong(archive, error)}): '
            'expected a whole zip or tar file; download it again.'
        ) from error


def _what_is_wrong(archive: str, error: BaseException) -> str:
    with open(archive, 'rb') as file:
        start = file.read(512).lstrip().lower()
    if start.startswith((b'<!doctype html', b'<html')):
        return 'it is a web page, which is what a download without login leaves'
    if start.startswith(b'pk\x03\x04') and not zipfile.is_zipfile(archive):
        return 'its end is missing'
    return str(error).strip().split('\n')[0].rstrip(':') or type(error).__name__


def _entries(
    archive: str, file: zipfile.ZipFile | tarfile.TarFile, raw: IO[bytes]
) -> Iterator[tuple[str, int, int | None, bool]]:
    """Yield name, size, CRC and "is a folder" of each entry; refuse everything but files."""
    if isinstance(file, zipfile.ZipFile):
        for info in file.infolist():
            mode = info.external_attr >> 16  # Unix mode; 0 where the archiver wrote none
            if info.flag_bits & 0x1:
                raise PreparationError(
                    f'The archive {archive!r} is encrypted (member {info.filename!r}): '
                    'expected readable members; unpack it by hand and give the folder.'
                )
            if stat.S_IFMT(mode) and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                _refuse_kind(archive, info.filename, 'link' if stat.S_ISLNK(mode) else 'device')
            # As it stands in the archive; ``filename`` is cut at a NUL or taken from an extra field.
            _check_name(archive, info.orig_filename)
            yield info.filename, info.file_size, info.CRC, info.is_dir()
        return
    for entry in _with_progress(archive, file, raw):
        if not (entry.isreg() or entry.isdir()):
            kind = 'link' if entry.issym() or entry.islnk() else 'device'
            _refuse_kind(archive, entry.name, kind)
        yield entry.name, entry.size, None, entry.isdir()


def _with_progress(
    archive: str, file: tarfile.TarFile, raw: IO[bytes]
) -> Iterator[tarfile.TarInfo]:
    """Go through a tar file with a bar in MB: it has no table and is read to its end."""
    megabytes = os.path.getsize(archive) // 10**6
    done = 0
    with progress_bar(megabytes, f'Listing {os.path.basename(archive)} (MB)') as advance:
        for entry in file:
            yield entry
            while done < raw.tell() // 10**6:
                done += 1
                advance()


def _read_to_end(
    archive: str, file: tarfile.TarFile, raw: IO[bytes], packed: int, limits: Limits
) -> None:
    """Make sure that a tar file is whole: its last block, or the checksum of its compression."""
    stream = file.fileobj
    assert stream is not None
    if stream is raw:
        raw.seek(file.offset)
        if raw.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError('its end is missing')
        return
    left = _SMALL + limits.ratio * packed
    while block := stream.read(_SMALL):
        left -= len(block)
        if left < 0:
            _refuse_bomb(archive, _times_its_size(packed, limits))


def _refuse_kind(archive: str, name: str, kind: str) -> None:
    raise PreparationError(
        f'The archive {archive!r} holds the {kind} {name!r}: expected plain files and folders; '
        'do not use this archive, download the published one.'
    )


def _check_name(archive: str, name: str) -> None:
    """Refuse names that lead out of the target folder or that a file system cannot hold."""
    parts = name.rstrip('/').split('/')
    reason = None
    if name.startswith('/') or parts[0][1:2] == ':':
        reason = 'an absolute path'
    elif '..' in parts:
        reason = "a path with '..'"
    elif '\\' in name:
        reason = 'a path with a backslash'
    elif any(ord(character) < 32 or ord(character) == 127 for character in name):
        reason = 'a name with control characters'
    elif any(len(os.fsencode(part)) > _MAX_NAME_BYTES for part in parts):
        reason = 'a name of more than 255 bytes'
    if reason is not None:
        shown = name if len(name) <= 80 else f'{name[:77]}...'
        raise PreparationError(
            f'The archive {archive!r} holds {shown!r}, {reason}: expected paths that stay in the '
            'target folder; do not use this archive, download the published one.'
        )


def _check_limits(archive: str, packed: int, files: int, total: int, limits: Limits) -> None:
    if files > limits.files:
        _refuse_bomb(archive, f'more than {limits.files} files')
    if total > limits.total_bytes:
        _refuse_bomb(archive, f'more than {limits.total_bytes / 1e9:.3g} GB of files')
    if total > _SMALL and total > limits.ratio * packed:
        _refuse_bomb(archive, _times_its_size(packed, limits))


def _times_its_size(packed: int, limits: Limits) -> str:
    return f'more than {limits.ratio:g} times its own size of {packed} bytes'


def _refuse_bomb(archive: str, excess: str) -> None:
    raise PreparationError(
        f'The archive {archive!r} unpacks to {excess}: expected an archive of images, which hardly '
        'shrink; do not use this archive, download the published one.'
    )
