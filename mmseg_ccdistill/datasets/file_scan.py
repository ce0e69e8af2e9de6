"""Facts of many image files: from the manifest, or read in parallel, with a progress bar."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import cv2
from mmengine.logging import print_log
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ..errors import UserInputError
from .image_facts import FileStamp, ImageFacts, UnreadableFileError, read_facts
from .manifest import Manifest

_LOG_SECONDS = 10.0  # pause between progress lines where there is no terminal

_T = TypeVar('_T')
_R = TypeVar('_R')


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
    """Apply a thread-safe function in threads (decoding frees the GIL), in order, with a progress bar and ETA."""
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
        UserInputError: If a worker was killed.
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
                raise UserInputError(
                    f'{title}: a worker process was killed, most often because memory ran out: '
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
    """A bar with ETA on a terminal, a line every few seconds elsewhere; yields what to call after each step."""
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
