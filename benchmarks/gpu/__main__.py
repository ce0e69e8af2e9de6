"""What the method costs on a GPU, and whether it works there.

``python -m benchmarks.gpu`` runs rows, the most important first, on random weights and synthetic frames, and
writes ``gpu.json`` and ``gpu.md`` after each. It can be stopped at any time; called again, it goes on with the rows
that are not done. A row that fails is written down with its error.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.record import JSON, Record
from benchmarks.gpu.rows import Row, all_rows
from benchmarks.gpu.settings import Settings, make_settings
from benchmarks.repository import ROOT
from benchmarks.row_running import choose, run_row
from benchmarks.stage_folder import read_record
from mmseg_ccdistill.errors import UserInputError

#: Seconds kept back for the end of a process that is stopped.
_SPARE = 3.0


def run_here(row: Row, settings: Settings) -> dict[str, Any]:
    """Run a row in this process.

    Args:
        row: The row.
        settings: Of the run.

    Returns:
        What the record keeps; an error is part of it.
    """
    kept = run_row(partial(row.run, settings))
    gc.collect()
    if settings.cuda:
        try:
            torch.cuda.empty_cache()
        except RuntimeError:
            pass  # the device is out of order: device_answers finds out
    return kept


def run_apart(row: Row, settings: Settings, seconds: float) -> dict[str, Any]:
    """Run a row in a process of its own, and end it with all its children when the time is up.

    Args:
        row: The row.
        settings: Of the run.
        seconds: Time that it has.

    Returns:
        What the record keeps.
    """
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, '-m', 'benchmarks.gpu', '--inside', '--out', folder]
        command += ['--rows', row.name, *(['--tiny'] if settings.tiny else [])]
        output = Path(folder) / 'output'
        with output.open('wb') as file:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                process.wait(max(1.0, seconds - _SPARE))
            except subprocess.TimeoutExpired:
                pass
            finally:
                _end(process)
        kept = read_record(Path(folder) / JSON).get('rows', {}).get(row.name)
        last = output.read_text(errors='replace').strip().splitlines()[-1:]
    spent = round(time.perf_counter() - start, 2)
    if kept is None and process.returncode == -signal.SIGKILL:
        return dict(status='not reached', reason=f'stopped after {spent:.0f} s', seconds=spent)
    if kept is None:
        reason = f'its process ended with code {process.returncode}: {" ".join(last)[:300]}'
        return dict(status='failed', reason=reason, seconds=spent)
    return dict(kept, seconds=spent)


def _end(process: subprocess.Popen) -> None:
    """Kill what is left of a process and its children."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def device_answers(settings: Settings) -> bool:
    """Whether the device still computes in this process; after an illegal access it does not."""
    try:
        return float(torch.ones(1, device=settings.device) + 1) == 2
    except RuntimeError:
        return False


def run_all(
    rows: Sequence[Row],
    settings: Settings,
    record: Record,
    minutes: float,
    inside: bool,
    again: bool,
) -> None:
    """Run rows in their order until the time is up.

    Args:
        rows: Rows.
        settings: Of the run.
        record: Takes each row as soon as it is there.
        minutes: Time for all of them.
        inside: Whether no row gets a process of its own.
        again: Whether rows that are done are run again.
    """
    end = time.perf_counter() + 60 * minutes
    answers = True
    for row in rows:
        if record.is_done(row.name) and not again and row.name != 'environment':
            continue
        left = end - time.perf_counter()
        if left < (0 if settings.tiny else row.least_seconds):
            kept: dict[str, Any] = dict(status='not reached', reason='the time was up', seconds=0)
        elif inside or (answers and not row.apart):
            kept = run_here(row, settings)
            answers = answers and device_answers(settings)
        else:
            kept = run_apart(row, settings, min(left, row.most_seconds))
        record.add(row.name, kept)
        print(
            f'{row.name}: {kept["status"]} in {kept["seconds"]} s {kept.get("reason", "")}',
            flush=True,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Args:
        argv: Arguments. Defaults to None, those of the command line.

    Returns:
        0, or 1 if a row failed, or 2 after bad arguments.
    """
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.gpu', description=(__doc__ or '').split('\n', 1)[0]
    )
    parser.add_argument(
        '--out', type=Path, default=ROOT / 'work_dirs/gpu', help='folder of the results'
    )
    parser.add_argument(
        '--rows',
        nargs='+',
        default=[],
        metavar='NAME',
        help='only these rows (beginnings of names), again if done',
    )
    parser.add_argument('--minutes', type=float, default=8.0, help='time for all rows (default: 8)')
    parser.add_argument('--tiny', action='store_true', help='rehearse at tiny size on the CPU')
    parser.add_argument('--inside', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    try:
        if not args.minutes > 0:
            raise UserInputError(f'--minutes must be above 0, got {args.minutes:g}')
        settings = make_settings(args.tiny)
        rows = choose(all_rows(), args.rows)
        record = Record(args.out, settings.tiny)
        run_all(rows, settings, record, args.minutes, args.inside, again=bool(args.rows))
    except UserInputError as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 2
    if not args.inside:
        print((args.out / 'gpu.md').read_text())
    return int(any(record.rows.get(row.name, {}).get('status') == 'failed' for row in rows))


if __name__ == '__main__':
    sys.exit(main())
