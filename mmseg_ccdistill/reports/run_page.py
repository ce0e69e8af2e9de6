"""A report as one web page that needs no other file: what ``page.html`` beside this file is filled with."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from mmengine.config import Config

from ..version import __version__
from .changed_settings import changed_settings
from .comparison import (
    group_by_settings,
    iterations_text,
    run_titles,
    runs_table,
    seeds_table,
    settings_table,
)
from .curves import LIMITS, Rows, curves, group_keys
from .run_folder import Run
from .set_scores import MEASURED, PANEL, WORST, find_scores, worst_images
from .svg import inline_svg
from .training_log import last_tenth

TEMPLATE = Path(__file__).with_name('page.html')
_PICTURES = {'.jpg': 'jpeg', '.jpeg': 'jpeg', '.png': 'png'}
#: Pictures of SegVisualizationHook that a page holds.
_NUM_SHOWN = 4


def run_page(run: Run, base: Path | None) -> str:
    """Write the report of one run as a page of HTML with everything inside, without scripts.

    Args:
        run: The run.
        base: Config file whose settings it is compared with; None leaves the comparison out.
    """
    title = run.folder.resolve().name
    settings = None
    if base is not None:
        changes = changed_settings(
            Config.fromfile(str(base), import_custom_modules=False), run.config
        )
        settings = [['setting', str(base), 'this run'], *map(list, changes)]
    scores = find_scores(run.folder)
    return _render(
        title=title,
        facts=_facts(run),
        runs=None,
        seeds=None,
        settings=settings,
        settings_title='Settings that differ from the config',
        same=f'Every setting is that of {base}.',
        without_base=(
            f'No config file {run.config_name}.py was found to compare with; name it with --base CONFIG.'
        ),
        charts=_charts({title: run.rows}, {title: run.validations}),
        ends=_ends(run),
        sets=[_set(entry) for entry in scores],
        pictures=_pictures(run),
        environment=run.environment,
    )


def comparison_page(runs: Sequence[Run]) -> str:
    """Write several runs side by side as a page of HTML with everything inside, without scripts.

    Args:
        runs: At least two.
    """
    titles = run_titles(runs)
    trained = {title: run.rows for title, run in zip(titles, runs, strict=True)}
    validated = {title: run.validations for title, run in zip(titles, runs, strict=True)}
    settings = settings_table(runs)
    groups = group_by_settings(runs)
    return _render(
        title=f'{len(runs)} runs',
        facts={
            'runs': ', '.join(titles),
            'groups': f'{len(groups)}: runs of a group differ in the seed alone (and in where they start from)',
            'written by': f'mmseg-ccdistill {__version__}',
        },
        runs=runs_table(runs),
        seeds=seeds_table(runs),
        settings=settings,
        settings_title='Settings in which the runs differ',
        same='The runs have equal settings.',
        without_base='',
        charts=_charts(trained, validated),
        ends=None,
        sets=[],
        pictures=[],
        environment={},
    )


def _facts(run: Run) -> dict[str, str]:
    facts = {
        'folder': str(run.folder),
        'config': run.config_name,
        'seed': 'not set' if run.seed is None else str(run.seed),
        'iterations': iterations_text(run),
        'started from': str(run.config.get('load_from') or 'the config: no checkpoint'),
    }
    seconds = last_tenth(run.rows, ('time', 'data_time'))
    if 'time' in seconds:
        facts['time'] = f'{seconds["time"]:.3g} s for an iteration'
        if seconds.get('data_time') and seconds['time'] > 0:
            share = 100 * seconds['data_time'] / seconds['time']
            facts['time'] += f', {share:.0f} % of it waiting for data'
    memory = [row['memory'] for row in run.rows if 'memory' in row]
    if memory:
        facts['memory'] = f'{max(memory):,} MB of GPU memory at most'
    facts['written by'] = f'mmseg-ccdistill {__version__}'
    return facts


def _ends(run: Run) -> list[list[str]]:
    """First value, median of the last tenth and extremes of every logged value."""
    medians = last_tenth(run.rows, ('',))
    rows = [['value', 'first', 'lowest', 'highest', 'last tenth (median)']]
    for key in (key for keys in group_keys(run.rows).values() for key in keys):
        values = [float(row[key]) for row in run.rows if key in row]
        rows.append(
            [key, *(f'{x:.4g}' for x in (values[0], min(values), max(values), medians[key]))]
        )
    return rows


def _charts(trained: Mapping[str, Rows], validated: Mapping[str, Rows]) -> list[dict[str, Any]]:
    """Figures by heading: training values, then validations."""
    every = [row for rows in trained.values() for row in rows]
    charts = [
        dict(
            heading=heading,
            drawn=curves(trained, keys),
            keys=keys,
            limited=any(key in LIMITS for key in keys),
        )
        for heading, keys in group_keys(every).items()
    ]
    scores = [key for rows in validated.values() for row in rows for key in row]
    keys = [key for key in dict.fromkeys(scores) if key not in ('step', 'time', 'data_time')]
    if keys:
        drawn = curves(validated, keys)
        charts.insert(0, dict(heading='Validation', drawn=drawn, keys=keys, limited=False))
    return charts


def _set(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One tested set for the template: classes with their support, means, the worst images."""
    rows = [['class', 'IoU', 'Acc', 'pixels in the ground truth', 'pixels predicted']]
    for name, values in entry['classes'].items():
        iou = _score(values.get('IoU'))
        if values.get('label_pixels') == 0:
            iou = 'absent' if not values.get('predicted_pixels') else f'{iou} absent'
        pixels = (f'{values.get(key, 0):,}' for key in ('label_pixels', 'predicted_pixels'))
        rows.append([name, iou, _score(values.get('Acc')), *pixels])
    means = [['mean', 'percent']]
    means += [[key, _score(value) or 'nan'] for key, value in entry['summary'].items()]
    worst = [['image', 'mIoU over the classes in it']]
    worst += [[path, _score(value)] for path, value in worst_images(entry)]
    return dict(
        title=entry.get('set', entry['name']),
        checkpoint=entry.get('checkpoint'),
        classes=rows,
        means=means,
        notes=entry.get('notes', []),
        worst=worst,
    )


def _score(value: float | None) -> str:
    return '' if value is None else f'{value:.2f}'


def _pictures(run: Run) -> list[dict[str, str]]:
    """Pictures as data: those that were drawn for the report, a panel in the folder, the newest of a test."""
    measured = run.folder / MEASURED
    wanted = [
        (
            measured / WORST,
            'Images with the lowest mIoU. Wrong pixels are orange, ignored ones black.',
        ),
        (measured / PANEL, 'Images spread evenly over the test set.'),
        *((run.folder / f'panel{ending}', f'panel{ending} of the run.') for ending in _PICTURES),
    ]
    shown = sorted(run.folder.glob('*/vis_data/vis_image/*'), key=lambda file: file.stat().st_mtime)
    wanted += [(file, file.name) for file in shown[-_NUM_SHOWN:]]
    return [
        dict(
            source=f'data:image/{_PICTURES[file.suffix.lower()]};base64,'
            f'{base64.b64encode(file.read_bytes()).decode()}',
            caption=caption,
        )
        for file, caption in wanted
        if file.is_file() and file.suffix.lower() in _PICTURES
    ]


def _render(**values: Any) -> str:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(TEMPLATE.name).render(inline_svg=inline_svg, **values)
