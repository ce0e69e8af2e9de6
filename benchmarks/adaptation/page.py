"""A suite's results as one web page that needs no other file: what ``page.html`` beside this file is filled with."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from benchmarks.adaptation.class_groups import GROUP_NOTE, class_group_table
from benchmarks.adaptation.class_tables import LEFT_OUT_NOTE, class_table, left_out_table
from benchmarks.adaptation.cost_table import COST_NOTE, cost_table
from benchmarks.adaptation.facts import (
    SIGNS_NOTE,
    SIGNS_TITLE,
    UNSEEN_NOTE,
    UNSEEN_TITLE,
    facts,
    failure_lines,
    notes,
)
from benchmarks.adaptation.figures import (
    correlations_figure,
    curves_figure,
    differences_figure,
    losses_figure,
    mious_figure,
    source_figure,
)
from benchmarks.adaptation.measure import DAY
from benchmarks.adaptation.measured import Results, main_set, night_sets, on_unseen, set_names
from benchmarks.adaptation.rows import BASELINE, FULL, MATCHED, ROWS
from benchmarks.adaptation.tables import (
    diagnostics_table,
    differences_table,
    means_table,
    published_table,
    source_table,
)
from benchmarks.adaptation.warning_signs import warning_signs
from mmseg_ccdistill.reports.svg import inline_svg

TEMPLATE = Path(__file__).with_name('page.html')


def page(results: Results, panel: Path) -> str:
    """Write the report as a page of HTML with everything inside, without scripts.

    Args:
        results: Content of ``results.json``.
        panel: JPEG with the pictures; left out if there is none.
    """
    nights = [
        dict(
            name=name,
            mious=mious_figure(results, name),
            means=means_table(results, name),
            differences=differences_figure(results, name),
            difference_rows=differences_table(results, name),
        )
        for name in night_sets(results)
    ]
    correlations = [
        dict(name=row, title=ROWS[row].title, drawn=correlations_figure(results, row))
        for row in (FULL, MATCHED)
    ]
    unseen = [
        dict(
            name=name,
            means=means_table(own, name),
            difference_rows=differences_table(own, name),
            classes=class_table(own, name),
        )
        for name in results['unseen']
        for own in [on_unseen(results, name)]
    ]
    dataset = main_set(results)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(TEMPLATE.name).render(
        title=results['title'],
        facts=facts(results),
        notes=notes(results),
        failures=failure_lines(results),
        nights=nights,
        day_means=means_table(results, DAY) if DAY in set_names(results) else None,
        baseline=ROWS[BASELINE].title,
        curves=curves_figure(results),
        source=source_figure(results),
        source_rows=source_table(results),
        unseen=unseen,
        unseen_title=UNSEEN_TITLE,
        unseen_note=UNSEEN_NOTE,
        losses=losses_figure(results),
        correlations=correlations,
        diagnostics=diagnostics_table(results),
        costs=cost_table(results),
        cost_note=COST_NOTE,
        groups=class_group_table(results, dataset),
        group_note=GROUP_NOTE,
        signs=warning_signs(results),
        signs_title=SIGNS_TITLE,
        signs_note=SIGNS_NOTE,
        panel=base64.b64encode(panel.read_bytes()).decode() if panel.exists() else None,
        main_set=dataset,
        classes=class_table(results, dataset),
        left_out=left_out_table(results, dataset),
        left_out_note=LEFT_OUT_NOTE,
        published=published_table(results),
        inline_svg=inline_svg,
    )
