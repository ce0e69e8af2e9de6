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

from benchmarks.adaptation.figures import mious_figure
from benchmarks.adaptation.measure import training_facts
from benchmarks.adaptation.measured import night_sets
from benchmarks.adaptation.page import page
from benchmarks.adaptation.panel import panel_rows, scene_panel
from benchmarks.adaptation.rows import add_variants
from benchmarks.adaptation.seed_runs import SeedRuns
from benchmarks.adaptation.text_reports import csv_report, markdown_report
from benchmarks.repository import list_once
from mmseg_ccdistill import __version__
from mmseg_ccdistill.datasets.file_scan import available_cores
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.reports.svg import svg
from mmseg_ccdistill.runtime.atomic_file import write_atomically

RESULTS, PANEL, PAGE = 'results.json', 'panel.jpg', 'index.html'

#: What ``results.json`` consists of.
KEYS = (
    *('suite', 'title', 'settings', 'date', 'commands', 'versions', 'device', 'classes'),
    *('seeds', 'worlds', 'variants', 'seconds', 'sources', 'runs', 'failures'),
)

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
        'unseen': {},
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
        missing = set(KEYS) - set(results)
    except FileNotFoundError as error:
        raise UserInputError(
            f'{str(path)!r} does not exist: expected the results of a run; name its folder with --out, '
            'or the file with --compare'
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise UserInputError(
            f'{str(path)!r} is not readable as JSON: restore it, move it away to have it written anew, or name '
            'another file with --compare'
        ) from error
    if missing:
        raise UserInputError(
            f'{str(path)!r} lacks {", ".join(sorted(missing))}: expected the results of this suite; '
            'name another folder with --out, or another file with --compare'
        )
    for key in ('variants', 'sources', 'runs'):
        if not all(isinstance(value, dict) for value in [results[key], *_values(results[key])]):
            raise UserInputError(
                f'{str(path)!r} has {key} that are not of this form: expected one mapping for each name; '
                'name another folder with --out, or another file with --compare'
            )
    add_variants(results['variants'])
    results.setdefault('unseen', {})  # older files have none
    return results


def _values(mapping: Any) -> list[Any]:
    return list(mapping.values()) if isinstance(mapping, dict) else []


def failure_name(row: str, seed: str, unseen: str = '') -> str:
    """Key of a row and seed among the failures; of its test on an unseen set, if one is named."""
    return f'{row} of seed {seed}' + (f' on {unseen}' if unseen else '')


def check_sources(earlier: Mapping[str, Any], fingerprints: Mapping[str, str], path: Path) -> None:
    """Refuse to pair runs of one seed that have other data or another source stage.

    Args:
        earlier: Content of the earlier file.
        fingerprints: Fingerprint of the source stage by seed.
        path: The earlier file, for the message.

    Raises:
        UserInputError: If the fingerprints of a common seed differ.
    """
    sources = earlier['sources']
    common = [seed for seed in fingerprints if seed in sources]
    other = [seed for seed in common if sources[seed].get('fingerprint') != fingerprints[seed]]
    if other:
        raise UserInputError(
            f'{str(path)!r} holds runs of seed {", ".join(other)} on other data or from another source stage: name '
            'another folder with --out or --work-dir'
        )


def merge(earlier: Mapping[str, Any], results: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Put the runs of an earlier file and of this run together; this run's win.

    A row that fails now keeps what was measured before; the failure stands beside it until the row is measured anew.

    Args:
        earlier: Content of the earlier file.
        results: Results of this run.
        path: The earlier file, for the message.

    Returns:
        The results of both.

    Raises:
        UserInputError: If their suites or settings differ, or the source stages of a common seed.
    """
    mine = {'suite': results['suite'], **results['settings']}
    theirs = {'suite': earlier['suite'], **earlier['settings']}
    if mine != theirs:
        other = ', '.join(
            f'{k} {theirs.get(k)}, not {mine.get(k)}'
            for k in {**mine, **theirs}
            if theirs.get(k) != mine.get(k)
        )
        raise UserInputError(
            f'{str(path)!r} holds runs of other settings ({other}): name another folder with --out or --work-dir'
        )
    fingerprints = {seed: source['fingerprint'] for seed, source in results['sources'].items()}
    check_sources(earlier, fingerprints, path)
    merged = dict(results)
    for key in ('worlds', 'sources', 'variants'):
        merged[key] = {**earlier[key], **results[key]}
    merged['commands'] = list(dict.fromkeys([*earlier['commands'], *results['commands']]))
    rows = [*earlier['runs'], *results['runs']]
    both = {r: {**earlier['runs'].get(r, {}), **results['runs'].get(r, {})} for r in rows}
    merged['runs'] = {row: runs for row, runs in both.items() if runs}
    merged['unseen'] = _both_unseen(earlier['unseen'], results['unseen'])
    over = {failure_name(row, seed) for row, runs in results['runs'].items() for seed in runs}
    over |= {failure_name('source', seed) for seed in results['sources']}
    over |= {
        failure_name(row, seed, name)
        for name, by_row in results['unseen'].items()
        for row, by_seed in by_row.items()
        for seed in by_seed
    }
    past = {name: text for name, text in earlier['failures'].items() if name not in over}
    merged['failures'] = {**past, **results['failures']}
    return sum_up(merged)


def _both_unseen(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Scores by unseen set, row and seed; the later ones win."""
    both: dict[str, Any] = {}
    for found in (earlier, later):
        for name, by_row in found.items():
            for row, by_seed in by_row.items():
                both.setdefault(name, {}).setdefault(row, {}).update(by_seed)
    return both


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
        sum(source['seconds'] for source in results['sources'].values())
        + sum(run['seconds'] + run['measuring_seconds'] for run in runs),
        1,
    )
    return results


def add_finished(results: dict[str, Any], seed: int, runs: SeedRuns, work_dir: Path) -> None:
    """Add every finished row of a seed, and the source stage that it comes from.

    Args:
        results: Results, changed in place.
        seed: The seed.
        runs: Its stages.
        work_dir: Folder of the runs.
    """
    measured = {n: e for n, e in runs.evaluated.items() if e.finished(work_dir)}
    if measured or runs.source.finished(work_dir):
        results['sources'][str(seed)] = {
            'fingerprint': runs.source.fingerprint(work_dir),
            'seconds': round(runs.source.seconds(work_dir), 1),
            'code': runs.source.code(work_dir),
            'curve': training_facts(work_dir / runs.source.name)['curve'],
        }
    for name, evaluation in measured.items():
        trained = runs.trained[name]
        content = json.loads(evaluation.product(work_dir).read_text(encoding='utf-8'))
        results['runs'].setdefault(name, {})[str(seed)] = {
            **content,
            'code': list_once([*trained.code(work_dir), *evaluation.code(work_dir)]),
            'seconds': round(trained.seconds(work_dir), 1),
            'measuring_seconds': round(evaluation.seconds(work_dir), 1),
        }
    for dataset, by_row in runs.unseen.items():
        for name, test in by_row.items():
            if test.finished(work_dir):
                scores = json.loads(test.product(work_dir).read_text(encoding='utf-8'))
                of_set = results['unseen'].setdefault(dataset, {})
                of_set.setdefault(name, {})[str(seed)] = scores


def write_panel(
    results: Mapping[str, Any], runs: Mapping[int, SeedRuns], work_dir: Path, out: Path
) -> None:
    """Write the pictures of the first seed of this run that has any, beside the report.

    Args:
        results: Results.
        runs: Stages by seed.
        work_dir: Folder of the runs.
        out: Folder of the report.
    """
    for _, of_seed in sorted(runs.items()):
        evaluated = of_seed.evaluated
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


def write_report(results: Mapping[str, Any], out: Path, with_page: bool = True) -> Path:
    """Write ``results.json``, ``results.csv``, ``results.md``, ``index.html`` and its first figure of each set as SVG.

    Args:
        results: Results; without a run there is no page.
        out: Folder of the report; pictures that lie in it become part of the page.
        with_page: Whether to draw the page and the figures, which takes seconds.

    Returns:
        What to read: the page, else ``results.md``.
    """
    out.mkdir(parents=True, exist_ok=True)
    files = {
        RESULTS: _LISTS.sub(_on_one_line, json.dumps(results, indent=1)) + '\n',
        'results.csv': csv_report(results),
        'results.md': markdown_report(results),
    }
    if with_page and results['runs']:
        files[PAGE] = page(results, out / PANEL)
        for name in night_sets(results):
            files[f'miou_{name}.svg'] = svg(mious_figure(results, name))
    for name, text in files.items():
        write_atomically(out / name, text.encode())
    return out / (PAGE if PAGE in files else 'results.md')
