"""Results on night sets as tables: on the console, in Markdown and in JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmengine.utils import mkdir_or_exist
from rich.table import Table

from ..datasets.published_sets import DARK_ZURICH
from .published import load_published, published_rows

#: Column heads of the paper's Table 1, in the order of the trainIds.
_SHORT_NAMES = {
    'road': 'road', 'sidewalk': 'side.', 'building': 'build.', 'wall': 'wall', 'fence': 'fence',
    'pole': 'pole', 'traffic light': 'light', 'traffic sign': 'sign', 'vegetation': 'vege.',
    'terrain': 'terr.', 'sky': 'sky', 'person': 'pers.', 'rider': 'rider', 'car': 'car',
    'truck': 'truck', 'bus': 'bus', 'train': 'train', 'motorcycle': 'motor', 'bicycle': 'bike',
}  # fmt: skip
#: Keys of the paper's own tables in ``published.json``.
_PAPER_TABLES = ('table_1', 'table_2', 'table_3')

_ABSENT_NOTE = (
    'absent: no pixel in the ground truth. "absent" alone: never predicted, left out of every mean. '
    '"0.00 absent": predicted somewhere, counts as 0 in mIoU and is left out of the mean over '
    'present classes.'
)


@dataclass(frozen=True)
class SetReport:
    """Results of one model on one set. Scores are in percent; NaN where there is none.

    Attributes:
        name: Label of the set, e.g. ``'DZ-val'``.
        num_images: Images that were evaluated.
        classes: Names of the K classes.
        iou: IoU of each class.
        accuracy: Accuracy (recall) of each class.
        label_pixels: Pixels of each class in the ground truth.
        predicted_pixels: Pixels of each class in the prediction, where there is ground truth.
        summary: Means by name: aAcc, mIoU, mAcc, mIoU_present, and mUIoU, mAUIoU where there are
            invalid masks.
        expected_images: Size of the published set; None if there is none.
        uiou: UIoU of each class at the threshold; None without invalid masks.
        average_uiou: Average UIoU of each class; None without invalid masks.
        notes: Sentences about the measurement.
        images: Path of each image and its mean IoU over the classes in its ground truth; NaN if it has none.
    """

    name: str
    num_images: int
    classes: tuple[str, ...]
    iou: tuple[float, ...]
    accuracy: tuple[float, ...]
    label_pixels: tuple[int, ...]
    predicted_pixels: tuple[int, ...]
    summary: Mapping[str, float]
    expected_images: int | None = None
    uiou: tuple[float, ...] | None = None
    average_uiou: tuple[float, ...] | None = None
    notes: tuple[str, ...] = field(default=())
    images: tuple[tuple[str, float], ...] = field(default=())

    @property
    def title(self) -> str:
        """Label with the number of images: ``'DZ-val (50)'``, or ``'DZ-val (48 of 50)'``."""
        partial = self.expected_images is not None and self.expected_images != self.num_images
        count = f'{self.num_images} of {self.expected_images}' if partial else f'{self.num_images}'
        return f'{self.name} ({count})'

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes without a pixel in the ground truth."""
        pairs = zip(self.classes, self.label_pixels, strict=True)
        return tuple(name for name, pixels in pairs if pixels == 0)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold: NaN becomes None, and non-finite means are listed by name."""
        rows = zip(
            self.classes,
            self.iou,
            self.accuracy,
            self.label_pixels,
            self.predicted_pixels,
            self.uiou or [None] * len(self.classes),
            self.average_uiou or [None] * len(self.classes),
            strict=True,
        )
        keys = ('IoU', 'Acc', 'label_pixels', 'predicted_pixels', 'UIoU', 'AUIoU')
        return dict(
            set=self.title,
            name=self.name,
            images=self.num_images,
            expected_images=self.expected_images,
            summary={key: _finite(value) for key, value in self.summary.items()},
            non_finite=[key for key, value in self.summary.items() if not math.isfinite(value)],
            absent_classes=list(self.absent),
            classes={
                name: {
                    key: _finite(value) if isinstance(value, float) else value
                    for key, value in zip(keys, values, strict=True)
                    if value is not None
                }
                for name, *values in rows
            },
            notes=list(self.notes),
            per_image=[dict(image=path, mIoU=_finite(value)) for path, value in self.images],
        )


def _finite(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None


def absent_class_notes(
    classes: Sequence[str], label_pixels: Sequence[int], predicted_pixels: Sequence[int]
) -> tuple[str, ...]:
    """Say how the classes without ground truth are read.

    A sentence for each kind of absent class that occurs, and one on what the means run over.
    """
    rows = list(zip(classes, label_pixels, predicted_pixels, strict=True))
    unseen = [name for name, truth, guessed in rows if truth == 0 and guessed == 0]
    guessed_only = [name for name, truth, guessed in rows if truth == 0 and guessed > 0]
    present = sum(truth > 0 for _, truth, _ in rows)
    notes = []
    if unseen:
        notes.append(f'Absent in the ground truth, never predicted: {", ".join(unseen)}.')
    if guessed_only:
        notes.append(f'Absent in the ground truth, but predicted: {", ".join(guessed_only)}.')
    if notes:
        notes.append(
            f'mIoU is the mean over {present + len(guessed_only)} classes (absent ones that were '
            f'predicted count as 0), mIoU_present over the {present} in the ground truth.'
        )
    return tuple(notes)


def table_rows(reports: Sequence[SetReport]) -> list[list[str]]:
    """Lay results out with a column for each set; the classes are those of the first.

    Rows of text: a head, one row for each class, one for each mean.
    """
    rows = [['class', *(report.title for report in reports)]]
    for index, name in enumerate(reports[0].classes):
        cells = []
        for report in reports:
            text = _score(report.iou[index])
            if report.label_pixels[index] == 0:
                text = f'{text} absent' if report.predicted_pixels[index] else 'absent'
            cells.append(text)
        rows.append([name, *cells])
    means = dict.fromkeys(key for report in reports for key in report.summary)
    for key in means:
        values = [report.summary.get(key) for report in reports]
        rows.append([key, *('' if value is None else _score(value) for value in values)])
    return rows


def class_table(report: SetReport) -> list[list[str]]:
    """Lay one set out with a row of text for each class: IoU, accuracy, pixels and, where known, UIoU."""
    columns: list[tuple[str, Sequence[str]]] = [
        ('class', report.classes),
        ('IoU', [row[1] for row in table_rows([report])[1 : len(report.classes) + 1]]),
        ('Acc', [_score(value) if math.isfinite(value) else '' for value in report.accuracy]),
        ('pixels', [f'{pixels:,}' for pixels in report.label_pixels]),
    ]
    for head, values in (('UIoU', report.uiou), ('AUIoU', report.average_uiou)):
        if values is not None:
            columns.append((head, [_score(v) if math.isfinite(v) else '' for v in values]))
    heads = [head for head, _ in columns]
    return [heads, *(list(row) for row in zip(*(cells for _, cells in columns), strict=True))]


def _score(value: float) -> str:
    return f'{value:.2f}' if math.isfinite(value) else 'nan'


def published_line() -> str:
    """Name the paper's own numbers, with the set they were measured on."""
    rows = published_rows(table='table_1')
    listed = ', '.join(f'{row["method"]} {row["mIoU"]}' for row in rows)
    count = DARK_ZURICH.split('test night').count
    return f'Published mIoU on {rows[0]["set"]} ({count} images, another set): {listed}'


def published_table() -> Table:
    """Make a console table of the paper's means, to stand beside measured ones and not among them.

    Each row names its set and how many images that has.
    """
    images = {name: entry['images'] for name, entry in load_published()['sets'].items()}
    table = Table(title='Published mIoU (Gao et al., CVPR 2022), not measured here')
    for name in ('table', 'method', 'set', 'mIoU'):
        table.add_column(name, justify='right' if name == 'mIoU' else 'left', no_wrap=True)
    for key in _PAPER_TABLES:
        for row in published_rows(table=key):
            title = f'{row["set"]} ({images[row["set"]]})'
            number = key.replace('_', ' ').capitalize()
            table.add_row(number, row['method'], title, str(row['mIoU']))
        table.add_section()
    return table


def rich_table(reports: Sequence[SetReport], title: str | None = None) -> Table:
    """Make a console table with a column for each set, and the paper's means below it."""
    table = score_table(reports, [report.title for report in reports], title)
    table.caption, table.caption_justify = published_line(), 'left'
    return table


def score_table(
    reports: Sequence[SetReport], names: Sequence[str], title: str | None = None
) -> Table:
    """Make a console table with a column for each result, headed by its name.

    Results are of one model on several sets, or of several models on one set.
    """
    head, *body = table_rows(reports)
    head = [head[0], *names]
    table = Table(title=title)
    table.add_column(head[0], no_wrap=True)
    for name in head[1:]:  # four sets fit into 80 columns, and no head is cut
        longest = max(map(len, name.split()))
        table.add_column(name.replace(' (', '\n('), justify='right', min_width=longest)
    num_classes = len(reports[0].classes)
    for index, row in enumerate(body):
        table.add_row(*row, end_section=index == num_classes - 1)
    return table


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Format rows of text as a Markdown table."""
    head, *body = rows
    rule = ['---', *('---:' for _ in head[1:])]
    return '\n'.join(f'| {" | ".join(row)} |' for row in (head, rule, *body))


def class_columns(reports: Sequence[SetReport], method: str = 'this model') -> list[list[str]]:
    """Lay results out as the paper's Table 1: a row for each set, a column for each class, one decimal."""
    classes = reports[0].classes
    rows = [['method', 'set', *(_SHORT_NAMES.get(name, name) for name in classes), 'mIoU']]
    for report in reports:
        cells = [f'{value:.1f}' if math.isfinite(value) else '-' for value in report.iou]
        rows.append([method, report.title, *cells, f'{report.summary["mIoU"]:.1f}'])
    return rows


def markdown_report(reports: Sequence[SetReport], title: str, method: str = 'this model') -> str:
    """Write results as a Markdown page."""
    notes = [f'- {report.title}: {note}' for report in reports for note in report.notes]
    parts = [
        f'# {title}',
        markdown_table(table_rows(reports)),
        *([_ABSENT_NOTE] if any(report.absent for report in reports) else []),
        *(['\n'.join(notes)] if notes else []),
        f'{published_line()}.',
        markdown_table(class_columns(reports, method)),
        *(f'## {report.title}\n\n{markdown_table(class_table(report))}' for report in reports),
    ]
    return '\n\n'.join(parts) + '\n'


def write_reports(
    reports: Sequence[SetReport],
    stem: str,
    title: str,
    method: str = 'this model',
    **facts: Any,
) -> tuple[str, str]:
    """Write ``<stem>.json`` and ``<stem>.md``, make their folder, and return the two paths.

    ``facts`` are more entries of the JSON file.
    """
    mkdir_or_exist(os.path.dirname(os.path.abspath(stem)))
    content = dict(
        title=title,
        **facts,
        sets=[report.to_dict() for report in reports],
        published=published_rows(table='table_1'),
    )
    paths = (f'{stem}.json', f'{stem}.md')
    with open(paths[0], 'w', encoding='utf-8') as file:
        json.dump(content, file, indent=1, allow_nan=False)
        file.write('\n')
    with open(paths[1], 'w', encoding='utf-8') as file:
        file.write(markdown_report(reports, title, method))
    return paths
