"""A suite's results as one web page that needs no other file, and the panel of pictures in it."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from matplotlib.figure import Figure
from mmseg.utils import get_classes, get_palette

from benchmarks.adaptation.figures import (
    correlations_figure,
    curves_figure,
    differences_figure,
    inline_svg,
    losses_figure,
    mious_figure,
)
from benchmarks.adaptation.measure import DAY
from benchmarks.adaptation.rows import BASELINE, FULL, HEADLINE, MATCHED, ROWS
from benchmarks.adaptation.tables import (
    LEFT_OUT_NOTE,
    Results,
    Table,
    class_table,
    diagnostics_table,
    differences_table,
    facts,
    failure_lines,
    left_out_table,
    main_set,
    means_table,
    night_sets,
    notes,
    published_table,
    row_names,
    set_names,
)
from mmseg_ccdistill.visualization.scene_comparison import Scene, comparison_figure

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; max-width: 60rem; padding: 0 1rem 3rem; background: #fff; color: #222;
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 0; }
dt { font-weight: 600; } dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
code { font-size: .9em; }
.wide { overflow-x: auto; }
.wide + .wide { margin-top: 1.5rem; }
.wide:focus-visible { outline: 2px solid #0072B2; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .4rem 0; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
thead th { border-bottom: 2px solid #888; white-space: normal; vertical-align: bottom; min-width: 4rem; }
th:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tbody th { font-weight: 500; }
figure { margin: 1rem 0; } figcaption { font-size: .9rem; color: #444; margin-top: .3rem; }
.wide svg { display: block; width: 100%; min-width: 32rem; height: auto; }
.wide img { display: block; width: 100%; min-width: 44rem; height: auto; }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
"""


def scene_panel(folders: Sequence[tuple[str, Path]]) -> np.ndarray | None:
    """Input, ground truth and the prediction of each row, for the scenes that were kept.

    Args:
        folders: Name of each row and the folder with its ``scenes.npz``.

    Returns:
        The figure, ``(H, W, 3)`` BGR uint8; None if no scene was kept or its image is gone.
    """
    kept = [(n, np.load(f / 'scenes.npz')) for n, f in folders if (f / 'scenes.npz').exists()]
    if not kept:
        return None
    first = kept[0][1]
    images = [str(path) for path in first['images']]
    if not all(Path(path).is_file() for path in images):
        return None
    scenes = [Scene(path, mmcv.imread(path), first[f'labels{i}']) for i, path in enumerate(images)]
    predictions = [
        (ROWS[name].title, [arrays[f'predictions{i}'] for i in range(len(images))])
        for name, arrays in kept
        if list(map(str, arrays['images'])) == images
    ]
    classes, palette = get_classes('cityscapes'), get_palette('cityscapes')
    return comparison_figure(scenes, predictions, classes, palette, with_miou=True, tile_width=240)


def panel_rows(results: Results) -> list[str]:
    """Rows that the pictures show: the headline rows that have a result."""
    return [name for name in row_names(results) if name in HEADLINE]


def table_html(rows: Table, caption: str) -> str:
    """A table with a head for each column and each row, which scrolls sideways where it must.

    Args:
        rows: A head and its rows.
        caption: What it shows.
    """
    head, *body = [[html.escape(cell) for cell in row] for row in rows]
    heads = ''.join(f'<th scope="col">{cell}</th>' for cell in head)
    lines = ''.join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>\n'
        for first, *rest in body
    )
    label = html.escape(caption, quote=True)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{label}"><table>\n<caption>{html.escape(caption)}'
        f'</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{lines}</tbody></table></div>'
    )


def figure_html(figure: Figure | None, name: str, caption: str) -> str:
    """A figure with its caption, or a sentence where there is none.

    Args:
        figure: The figure; None: there is none.
        name: Name of the figure, of its own on the page.
        caption: What it shows.
    """
    if figure is None:
        return '<p>Not measured in these runs.</p>'
    return (
        f'<figure><div class="wide">{inline_svg(figure, name, caption)}</div>'
        f'<figcaption>{html.escape(caption)}</figcaption></figure>'
    )


def _panel_html(panel: Path) -> str:
    if not panel.exists():
        return '<p>The pictures are not part of this report: it was drawn without the runs.</p>'
    data = base64.b64encode(panel.read_bytes()).decode()
    caption = (
        'Night input, ground truth and predictions of the first seed of the last command that trained, with the mIoU '
        'of the scene.'
    )
    return (
        f'<figure><div class="wide"><img alt="{caption}" src="data:image/jpeg;base64,{data}"></div>'
        f'<figcaption>{caption}</figcaption></figure>'
    )


def _listed(lines: Sequence[str]) -> str:
    return '<ul>\n' + ''.join(f'<li>{html.escape(line)}</li>\n' for line in lines) + '</ul>'


def page(results: Results, panel: Path) -> str:
    """Write the report as a page of HTML with everything inside, without scripts.

    Args:
        results: Content of ``results.json``.
        panel: JPEG with the pictures; left out if there is none.
    """
    title = html.escape(results['title'])
    described = ''.join(
        f'<dt>{name}</dt><dd>{f"<code>{html.escape(text)}</code>" if name == "command" else html.escape(text)}</dd>\n'
        for name, text in facts(results).items()
    )
    night = night_sets(results)
    baseline = ROWS[BASELINE].title
    parts = [f'<h1>{title}</h1>', f'<dl>\n{described}</dl>', '<h2>How to read it</h2>']
    parts.append(_listed(notes(results)))
    if results['failures']:
        parts += ['<h2>Failed</h2>', _listed(failure_lines(results))]
    parts.append('<h2>1. mIoU of every row</h2>')
    for i, name in enumerate(night):
        caption = f'mIoU on {name}: rings are seeds, diamonds means, bars 95 % intervals.'
        parts.append(figure_html(mious_figure(results, name), f'miou{i}', caption))
        parts.append(table_html(means_table(results, name), f'mIoU on {name}, percent'))
    if DAY in set_names(results):
        caption = (
            'The target by day, tested with M_d, or with the only network there is: a diagnostic'
        )
        parts.append(table_html(means_table(results, DAY), caption))
    parts.append(f'<h2>2. Differences to {html.escape(baseline)}</h2>')
    for i, name in enumerate(night):
        caption = (
            f'Difference to {baseline} on {name}, paired by seed: rings are seeds, diamonds means, '
            'bars 95 % intervals. Source-only and the oracle lie far off: they stand in the table.'
        )
        parts.append(figure_html(differences_figure(results, name), f'difference{i}', caption))
        parts.append(table_html(differences_table(results, name), f'Differences in mIoU on {name}'))
    parts += [
        '<h2>3. Learning curves</h2>',
        figure_html(
            curves_figure(results),
            'curves',
            f'mIoU on the night set against the iteration: thin lines are seeds, the thick line is their mean, dotted '
            f'the mean of {baseline}. The set is measured on the way for this figure only: nothing is chosen by it.',
        ),
        '<h2>4. Loss terms</h2>',
        figure_html(
            losses_figure(results),
            'losses',
            'Weighted loss terms against the iteration, means over seeds.',
        ),
        '<h2>5. Correlations at start and end</h2>',
        *(
            figure_html(
                correlations_figure(results, row),
                f'correlations_{row}',
                f'The four Cor maps of {ROWS[row].title} on the first training batches, over all seeds, in evaluation '
                'mode: at the start (source stage, untrained projection head) and at the end.',
            )
            for row in (FULL, MATCHED)
        ),
        table_html(
            diagnostics_table(results),
            'Diagnostics: medians of the last tenth of the training, means over seeds',
        ),
        '<h2>6. Pictures</h2>',
        _panel_html(panel),
        '<h2>7. Classes</h2>',
        table_html(
            class_table(results, main_set(results)),
            f'IoU on {main_set(results)} in percent, means over seeds; classes that occur in the ground truth',
        ),
        table_html(left_out_table(results, main_set(results)), LEFT_OUT_NOTE),
        "<h2>8. The paper's numbers</h2>",
        table_html(
            published_table(results),
            "The paper's Table 3 (DZ-test, RefineNet-R101) beside this suite: another set, another network",
        ),
    ]
    body = '\n'.join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n'
    )
