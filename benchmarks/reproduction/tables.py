"""What was measured beside what was published, set by set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.reproduction.plan import ADAPTATION, SOURCE, NightTest, Submission
from benchmarks.stages import Stage
from mmseg_ccdistill.evaluation.published import load_published, published_rows
from mmseg_ccdistill.evaluation.report import markdown_table
from mmseg_ccdistill.runtime.atomic_file import write_atomically

#: The paper's row that each of the two trainings stands for.
PAPER_ROWS = {SOURCE: 'RefineNet (source-only)', ADAPTATION: 'CCDistill (RefineNet)'}
#: The paper's tables on several methods.
_TABLES = ('table_1', 'table_2')


def measured_sets(stages: Sequence[Stage], work_dir: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Results of the finished tests: by training, then by label of the set."""
    found: dict[str, dict[str, dict[str, Any]]] = {SOURCE: {}, ADAPTATION: {}}
    for stage in stages:
        if isinstance(stage, NightTest) and stage.finished(work_dir):
            assert stage.start is not None
            for entry in json.loads(stage.product(work_dir).read_text())['sets']:
                found[stage.start.name][entry['name']] = entry
    return found


def comparison(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """A row for each set and training: measured and published mIoU in percent, None where there is none.

    Args:
        measured: As :func:`measured_sets` returns it.

    Returns:
        Rows with ``set``, ``images``, ``expected_images``, ``run``, ``method``, ``mIoU``, ``published`` and, where
        both are there and the set is whole, ``difference``.
    """
    papers = {
        (row['method'], row['set']): row['mIoU']
        for table in _TABLES
        for row in published_rows(table=table)
    }
    sets = dict.fromkeys([*(name for sets in measured.values() for name in sets), 'DZ-test'])
    rows = []
    for name in sets:
        for run, method in PAPER_ROWS.items():
            entry = measured[run].get(name)
            own = None if entry is None else entry['summary']['mIoU']
            paper = papers.get((method, name))
            is_whole = entry is not None and entry['images'] == entry['expected_images']
            difference = None
            if own is not None and paper is not None and is_whole:
                difference = round(own - paper, 2)
            rows.append(
                {
                    'set': name,
                    'images': None if entry is None else entry['images'],
                    'expected_images': load_published()['sets'][name]['images'],
                    'run': run,
                    'method': method,
                    'mIoU': own,
                    'published': paper,
                    'difference': difference,
                }
            )
    return rows


def results_page(rows: Sequence[Mapping[str, Any]], stages: Sequence[Stage], work_dir: Path) -> str:
    """The comparison, the other methods and the zips as a Markdown page.

    Args:
        rows: Of :func:`comparison`.
        stages: All stages.
        work_dir: Folder of the runs.
    """
    table = [
        ['set', 'images', 'method of the paper', 'run', 'measured mIoU', 'published', 'difference']
    ]
    for row in rows:
        images = '-' if row['images'] is None else f'{row["images"]} of {row["expected_images"]}'
        numbers = [row['mIoU'], row['published']]
        cells = ['-' if value is None else f'{value:.2f}' for value in numbers]
        difference = '-' if row['difference'] is None else f'{row["difference"]:+.2f}'
        table.append([row['set'], images, row['method'], row['run'], *cells, difference])
    others = [['set', 'method', 'published mIoU']]
    own = set(PAPER_ROWS.values())
    for name in dict.fromkeys(row['set'] for row in rows):
        for row in published_rows(dataset=name):
            if row['method'] not in own:
                others.append([name, row['method'], str(row['mIoU'])])
    zips = [stage for stage in stages if isinstance(stage, Submission) and stage.finished(work_dir)]
    files = [f'- {stage.target}: `{stage.product(work_dir)}`' for stage in zips]
    return (
        '\n\n'.join(
            [
                '# Reproduction of CCDistill',
                'mIoU in percent, one run. DZ-val has other images than DZ-test, the set of the paper whose labels the '
                'server alone has: the two are not to be compared. A difference stands only where all images of a '
                'published set were tested.',
                markdown_table(table),
                '## For the servers',
                '\n'.join(files) if files else 'No test images were there, so there is no zip.',
                '## Other published methods on these sets',
                markdown_table(others),
            ]
        )
        + '\n'
    )


def write_results(stages: Sequence[Stage], work_dir: Path) -> list[Path]:
    """Write ``results.md`` and ``results.json`` from the stages that are finished; both are made anew each time.

    Args:
        stages: All stages.
        work_dir: Folder of the runs.

    Returns:
        The two files.
    """
    measured = measured_sets(stages, work_dir)
    rows = comparison(measured)
    content = {'rows': rows, 'sets': measured}
    texts = {
        'results.md': results_page(rows, stages, work_dir),
        'results.json': json.dumps(content, indent=1) + '\n',
    }
    for name, text in texts.items():
        write_atomically(work_dir / name, text.encode())
    return [work_dir / name for name in texts]
