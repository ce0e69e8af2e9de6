"""Facts of image files: header, size and label values, remembered between starts.

The manifest remembers what was read of a file together with the file's modification time and size;
an unchanged file costs one ``os.stat`` at the next start instead of being opened again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from mmengine.logging import print_log
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

MANIFEST_NAME = '.ccdistill_manifest.json'
_MANIFEST_VERSION = 1
_LOG_SECONDS = 10.0  # pause between progress lines where there is no terminal
_PNG_TAIL = 1024  # bytes at the end of a PNG in which its closing chunk must lie

#: Pillow's ways to say that a file is broken.
_PILLOW_ERRORS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)

_T = TypeVar('_T')
_R = TypeVar('_R')


class FileStamp(NamedTuple):
    """What tells a file from a changed one: modification time in ns and size in bytes."""

    mtime_ns: int
    size: int


class ImageFacts(NamedTuple):
    """What is known of one image file.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        mode: Pillow's name of the pixel format, e.g. ``'RGB'``, ``'L'`` or ``'P'``.
        values: Sorted distinct pixel values of a label; None where they were not asked for or the
            file has several channels.
    """

    width: int
    height: int
    mode: str
    values: tuple[int, ...] | None = None


class UnreadableFileError(Exception):
    """A file that is no image, or only the beginning of one."""


def read_stamp(path: str) -> FileStamp | None:
    """Return the stamp of a file, or None if there is no such regular file.

    Args:
        path: The file.
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return FileStamp(status.st_mtime_ns, status.st_size)


def read_facts(path: str, with_values: bool) -> ImageFacts:
    """Open a file and read its header and, for labels, its values.

    Args:
        path: A PNG or JPEG file (any format that Pillow knows).
        with_values: Decode the pixels and list their distinct values.

    Raises:
        UnreadableFileError: If the header or the pixels cannot be read.
    """
    try:
        with Image.open(path) as image:
            width, height, mode = *image.size, image.mode
            if image.format == 'PNG' and not _has_png_end(path):
                image.load()  # raises if pixels are missing; OpenCV wants the closing chunk, too
                if cv2.imread(path, cv2.IMREAD_UNCHANGED) is None:
                    raise UnreadableFileError('its closing chunk is missing')
            if with_values and len(image.getbands()) == 1:
                return ImageFacts(width, height, mode, _label_values(path, image))
            return ImageFacts(width, height, mode)
    except UnidentifiedImageError as error:
        raise UnreadableFileError('no image header') from error
    except _PILLOW_ERRORS as error:
        raise UnreadableFileError(str(error)) from error


def _label_values(path: str, image: Image.Image) -> tuple[int, ...]:
    """Distinct values of one channel; 8-bit grey goes through cv2, which frees the GIL."""
    pixels = cv2.imread(path, cv2.IMREAD_UNCHANGED) if image.mode == 'L' else None
    if pixels is None or pixels.ndim != 2:
        pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        return tuple(int(value) for value in np.unique(pixels))
    counts = cv2.calcHist([pixels], [0], None, [256], [0, 256])
    return tuple(int(value) for value in np.flatnonzero(counts))


def _has_png_end(path: str) -> bool:
    """Say whether a PNG ends with its closing chunk: a download that was cut off does not."""
    with open(path, 'rb') as file:
        file.seek(-min(_PNG_TAIL, os.path.getsize(path)), os.SEEK_END)
        return b'IEND' in file.read()


class Manifest:
    """Facts of the files of one data root, kept in a JSON file.

    Args:
        root: Folder that the files belong to; paths below it are stored relative to it.
        folder: Folder for the JSON file. Defaults to ``root`` itself if it is writable, else
            ``$XDG_CACHE_HOME/mmseg_ccdistill`` (``~/.cache/mmseg_ccdistill``).
    """

    def __init__(self, root: str, folder: str | None = None) -> None:
        self.root = os.path.abspath(root)
        if folder is None and os.access(self.root, os.W_OK):
            self.path = os.path.join(self.root, MANIFEST_NAME)
        else:
            cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
            folder = os.path.join(cache, 'mmseg_ccdistill') if folder is None else folder
            digest = hashlib.sha256(self.root.encode()).hexdigest()[:16]
            self.path = os.path.join(folder, f'manifest_{digest}.json')
        self._entries = self._load()

    def _load(self) -> dict[str, list]:
        try:
            with open(self.path, encoding='utf-8') as file:
                content = json.load(file)
            if content['version'] == _MANIFEST_VERSION and isinstance(content['files'], dict):
                return content['files']
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or not ours: it is only a cache
        return {}

    def get(self, path: str, stamp: FileStamp, with_values: bool) -> ImageFacts | None:
        """Return what is known of an unchanged file.

        Args:
            path: The file.
            stamp: Its present stamp.
            with_values: The label values are needed, too.
        """
        entry = self._entries.get(self._key(path))
        if entry is None or entry[:2] != list(stamp):
            return None
        try:
            width, height, mode, decoded, values = entry[2:]
            facts = ImageFacts(width, height, mode, None if values is None else tuple(values))
        except (TypeError, ValueError):
            return None
        return facts if decoded or not with_values else None

    def put(self, path: str, stamp: FileStamp, facts: ImageFacts, with_values: bool) -> None:
        """Remember the facts of a file.

        Args:
            path: The file.
            stamp: Its stamp from before it was read.
            facts: What was read.
            with_values: The label values were asked for.
        """
        values = None if facts.values is None else list(facts.values)
        entry = [*stamp, facts.width, facts.height, facts.mode, with_values, values]
        self._entries[self._key(path)] = entry

    def save(self) -> None:
        """Write the JSON file as a whole or not at all.

        A folder without room or rights only makes the next start slower.
        """
        folder = os.path.dirname(self.path)
        try:
            os.makedirs(folder, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix='.manifest', suffix='.tmp', dir=folder)
            try:
                content = {'version': _MANIFEST_VERSION, 'files': self._entries}
                with os.fdopen(handle, 'w', encoding='utf-8') as file:
                    json.dump(content, file, separators=(',', ':'))
                os.replace(temporary, self.path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            message = f'Cannot keep the manifest {self.path}: {error}'
            print_log(message, logger='current', level=logging.WARNING)

    def _key(self, path: str) -> str:
        path = os.path.abspath(path)
        return os.path.relpath(path, self.root) if path.startswith(self.root + os.sep) else path


def scan_files(
    requests: Sequence[tuple[str, FileStamp, bool]], manifest: Manifest, title: str
) -> dict[str, ImageFacts | UnreadableFileError]:
    """Collect the facts of many files, from the manifest or in parallel from disk.

    Args:
        requests: Path, present stamp and "read label values" of every file; the paths differ.
        manifest: Where facts are looked up and remembered (and saved if anything was read).
        title: Name of the progress bar.

    Returns:
        Facts by path; an unreadable file has its error instead.
    """
    facts: dict[str, ImageFacts | UnreadableFileError] = {}
    missing = []
    for request in requests:
        known = manifest.get(*request)
        if known is None:
            missing.append(request)
        else:
            facts[request[0]] = known
    if not missing:
        return facts

    def read(request: tuple[str, FileStamp, bool]) -> ImageFacts | UnreadableFileError:
        try:
            return read_facts(request[0], request[2])
        except UnreadableFileError as error:
            return error

    read_in_order = map_parallel(read, missing, title)
    for (path, stamp, with_values), found in zip(missing, read_in_order, strict=True):
        facts[path] = found
        if isinstance(found, ImageFacts):
            manifest.put(path, stamp, found, with_values)
    manifest.save()
    return facts


def map_parallel(function: Callable[[_T], _R], items: Sequence[_T], title: str) -> Iterator[_R]:
    """Apply a function in threads (decoding frees the GIL), in order, with a progress bar and ETA.

    Args:
        function: The function; it must be thread-safe.
        items: Its arguments.
        title: Name of the bar.
    """
    with ThreadPoolExecutor() as pool, progress_bar(len(items), title) as advance:
        for result in pool.map(function, items):
            advance()
            yield result


def map_processes(
    function: Callable[[_T], _R],
    items: Sequence[_T],
    title: str,
    workers: int | None = None,
    chunk: int = 8,
) -> Iterator[_R]:
    """Apply a function in processes, in order, with a progress bar and ETA.

    Args:
        function: A function of a module; its arguments and results travel by pickle.
        items: Its arguments.
        title: Name of the bar.
        workers: Processes. Defaults to one for each core that this process may use; 1 stays in this
            process.
        chunk: Items that travel together.

    Raises:
        ValueError: If a worker was killed.
    """
    workers = available_cores() if workers is None else workers
    if workers <= 1 or len(items) <= chunk:
        with progress_bar(len(items), title) as advance:
            for item in items:
                result = function(item)
                advance()
                yield result
        return
    fork = 'fork' in multiprocessing.get_all_start_methods() and sys.platform == 'linux'
    context = multiprocessing.get_context('fork' if fork else 'spawn')
    threads = cv2.getNumThreads()
    # A forked worker inherits OpenCV's pool of threads without the threads, and waits for them for
    # ever as soon as it changes their number: so the pool is dissolved here, before the fork.
    cv2.setNumThreads(1)
    try:
        with ProcessPoolExecutor(workers, context, _init_worker, (fork,)) as pool:
            # The workers are started here, before the bar starts a thread of its own.
            results = pool.map(function, items, chunksize=chunk)
            try:
                with progress_bar(len(items), title) as advance:
                    for result in results:
                        advance()
                        yield result
            except BrokenProcessPool as error:
                raise ValueError(
                    f'{title}: a worker process was killed, most often for want of memory: '
                    'use fewer workers.'
                ) from error
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        cv2.setNumThreads(threads)


def available_cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _init_worker(is_forked: bool) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops the pool
    if not is_forked:
        cv2.setNumThreads(1)


@contextmanager
def progress_bar(total: int, title: str) -> Iterator[Callable[[], None]]:
    """A bar with ETA on a terminal, a line every few seconds elsewhere.

    Args:
        total: Number of steps.
        title: Name of the bar.

    Yields:
        What to call after each step.
    """
    console = Console(stderr=True)
    if console.is_terminal:
        columns: Iterable = (
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task(title, total=total)
            yield lambda: progress.advance(task)
        return
    start = last = time.monotonic()
    done = 0

    def advance() -> None:
        nonlocal done, last
        done += 1
        now = time.monotonic()
        if now - last >= _LOG_SECONDS:
            last = now
            eta = (now - start) / done * (total - done)
            print_log(f'{title}: {done}/{total}, eta {eta:.0f} s', logger='current')

    yield advance
