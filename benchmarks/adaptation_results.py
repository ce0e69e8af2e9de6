"""What a suite has measured, in one file to which later runs add, and the report that is drawn from it."""

from __future__ import annotations

import datetime
import json
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import mmcv
import mmengine
import mmseg
import numpy as np
import torch
from mmseg.utils import get_classes

from benchmarks.adaptation_measure import code_state
from benchmarks.adaptation_page import page, panel_rows, scene_panel
from benchmarks.adaptation_rows import SeedRuns, add_variants
from benchmarks.adaptation_tables import csv_report, markdown_report
from mmseg_ccdistill import __version__
from mmseg_ccdistill.datasets.file_scan import available_cores
from mmseg_ccdistill.engine.launch import UserInputError
from mmseg_ccdistill.utils.atomic_file import write_atomically

RESULTS, PANEL = 'results.json', 'panel.jpg'

# Lists of numbers, or of such lists: they get one line.
_LISTS = re.compile(r'\[[\[\]\s\d.,eEnul+-]+\](?=,?\n)')


def machine() -> str:
    """The GPUs, or the processor and the number of its cores that this process may use."""
    if torch.cuda.is_available():
        return f'{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}'
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(':')[2].strip() for line in lines if line.startswith('model name')]
    return f'{names[0] if names else platform.processor() or "CPU"}, {available_cores()} cores'


def describe(suite: str, title: str, settings: Mapping[str, Any], command: str) -> dict[str, Any]:
    """Results without runs: what is being run, where and with what.

    Args:
        suite: Name of the suite.
        title: Its title.
        settings: What the runs of one file have in common: lengths, first world, share of the frames.
        command: The command line.

    Returns:
        Content of ``results.json``.
    """
    return {
        'suite': suite,
        'title': f'Adaptation suite, {title}',
        'settings': dict(settings),
        'date': datetime.datetime.now().astimezone().isoformat(timespec='seconds'),
        'commands': [command],
        'code': code_state(),
        'versions': {
            'mmseg-ccdistill': __version__,
            'torch': torch.__version__,
            'mmengine': mmengine.__version__,
            'mmcv': mmcv.__version__,
            'mmseg': mmseg.__version__,
            'numpy': np.__version__,
            'opencv': cv2.__version__,
        },
        'device': machine(),
        'classes': list(get_classes('cityscapes')),
        'seeds': [],
        'worlds': {},
        'variants': {},
        'seconds': 0.0,
        'sources': {},
        'runs': {},
        'failures': {},
    }


def read_results(path: Path) -> dict[str, Any]:
    """Read a ``results.json``.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        UserInputError: If it is missing or not of this suite.
    """
    try:
        results = json.loads(path.read_text(encoding='utf-8'))
        missing = set(describe('', '', {}, '')) - set(results)
    except FileNotFoundError as error:
        raise UserInputError(
            f'{str(path)!r} does not exist: expected the results of a run; name its folder with --out'
        ) from error
    except (ValueError, TypeError) as error:
        raise UserInputError(
            f'{str(path)!r} is not readable as JSON: restore it, or move it away to have it written anew'
        ) from error
    if missing:
        raise UserInputError(
            f'{str(path)!r} lacks {", ".join(sorted(missing))}: expected the results of this suite; '
            'name another folder with --out'
        )
    add_variants(results['variants'])
    return results


def failure_name(row: str, seed: str) -> str:
    """Key of a row and seed among the failures."""
    return f'{row} of seed {seed}'


def merge(earlier: Mapping[str, Any], results: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Put the runs of an earlier file and of this run together; this run's win.

    Args:
        earlier: Content of the earlier file.
        results: Results of this run.
        path: The earlier file, for the message.

    Returns:
        The results of both.

    Raises:
        UserInputError: If their suites or settings differ.
    """
    mine = {'suite': results['suite'], **results['settings']}
    theirs = {'suite': earlier['suite'], **earlier['settings']}
    if mine != theirs:
        other = ', '.join(
            f'{k} {theirs.get(k)}, not {v}' for k, v in mine.items() if theirs.get(k) != v
        )
        raise UserInputError(
            f'{str(path)!r} holds runs of other settings ({other}): name another folder with --out or --work-dir'
        )
    merged = dict(results)
    for key in ('worlds', 'sources', 'variants'):
        merged[key] = {**earlier[key], **results[key]}
    merged['commands'] = list(dict.fromkeys([*earlier['commands'], *results['commands']]))
    rows = [*earlier['runs'], *results['runs']]
    merged['runs'] = {r: {**earlier['runs'].get(r, {}), **results['runs'].get(r, {})} for r in rows}
    for row, runs in merged['runs'].items():  # what fails now is not what was measured before
        for seed in [seed for seed in runs if failure_name(row, seed) in results['failures']]:
            del runs[seed]
    over = {failure_name(row, seed) for row, runs in merged['runs'].items() for seed in runs}
    over |= {failure_name('source', seed) for seed in merged['sources']}
    past = {name: text for name, text in earlier['failures'].items() if name not in over}
    merged['failures'] = {**past, **results['failures']}
    return sum_up(merged)


def sum_up(results: dict[str, Any]) -> dict[str, Any]:
    """Set the seeds and the duration from the runs.

    Args:
        results: Results, changed in place.

    Returns:
        The same.
    """
    runs = [run for row in results['runs'].values() for run in row.values()]
    results['seeds'] = sorted({s for row in results['runs'].values() for s in row}, key=int)
    results['seconds'] = round(
        sum(results['sources'].values())
        + sum(run['seconds'] + run['measuring_seconds'] for run in runs),
        1,
    )
    return results


def add_finished(results: dict[str, Any], seed: int, runs: SeedRuns, work_dir: Path) -> None:
    """Add every finished row of a seed.

    Args:
        results: Results, changed in place.
        seed: The seed.
        runs: Its stages.
        work_dir: Folder of the runs.
    """
    if runs.source.finished(work_dir):
        results['sources'][str(seed)] = round(runs.source.seconds(work_dir), 1)
    for name, evaluation in runs.evaluated.items():
        if not evaluation.finished(work_dir):
            continue
        content = json.loads(evaluation.product(work_dir).read_text(encoding='utf-8'))
        results['runs'].setdefault(name, {})[str(seed)] = {
            **content,
            'seconds': round(runs.trained[name].seconds(work_dir), 1),
            'measuring_seconds': round(evaluation.seconds(work_dir), 1),
        }


def write_panel(
    results: Mapping[str, Any], runs: Mapping[int, SeedRuns], work_dir: Path, out: Path
) -> None:
    """Write the pictures of the first seed that has any, beside the report.

    Args:
        results: Results.
        runs: Stages by seed.
        work_dir: Folder of the runs.
        out: Folder of the report.
    """
    for _, seed_runs in sorted(runs.items()):
        evaluated = seed_runs.evaluated
        folders = [
            (name, evaluated[name].product(work_dir).parent)
            for name in panel_rows(results)
            if name in evaluated and evaluated[name].finished(work_dir)
        ]
        figure = scene_panel(folders)
        if figure is not None:
            quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
            write_atomically(out / PANEL, cv2.imencode('.jpg', figure, quality)[1].tobytes())
            return


def _on_one_line(found: re.Match[str]) -> str:
    return re.sub(r'\s+', '', found.group()).replace(',', ', ')


def write_report(results: Mapping[str, Any], out: Path) -> None:
    """Write ``results.json``, ``results.csv``, ``results.md`` and ``index.html``.

    Args:
        results: Results with at least one run.
        out: Folder of the report; pictures that lie in it become part of the page.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {
        RESULTS: _LISTS.sub(_on_one_line, json.dumps(results, indent=1)) + '\n',
        'results.csv': csv_report(results),
        'results.md': markdown_report(results),
        'index.html': page(results, out / PANEL),
    }
    for name, text in files.items():
        write_atomically(out / name, text.encode())
