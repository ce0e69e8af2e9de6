"""Findings of the doctor and how they are shown: a table, plain lines, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...runtime.atomic_file import write_atomically

Verdict = Literal['ok', 'note', 'leak', 'fault']

_STYLES: dict[str, str] = {'ok': 'green', 'note': 'dim', 'leak': 'yellow', 'fault': 'bold red'}


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        set: Key of the set; two keys joined by ``+`` where two sets are compared.
        check: What was looked at, e.g. ``'train night'``.
        verdict: ``'ok'``; ``'note'``: worth knowing, nothing to fix; ``'leak'``: published sets
            that share frames; ``'fault'``: to be fixed.
        text: What was found; for a fault what was expected and how to fix it.
    """

    set: str
    check: str
    verdict: Verdict
    text: str


class Report(NamedTuple):
    """What the doctor found.

    Attributes:
        findings: The lines.
        num_files: Files that were read.
        seconds: Time that it took.
    """

    findings: tuple[Finding, ...]
    num_files: int
    seconds: float

    @property
    def is_healthy(self) -> bool:
        """Whether there is no fault."""
        return all(finding.verdict != 'fault' for finding in self.findings)


def with_example(text: str, examples: Sequence[Any]) -> str:
    """Add to a sentence about the first of several cases how many more there are."""
    return f'{text} ({len(examples) - 1} more like it.)' if len(examples) > 1 else text


def show_report(report: Report, console: Console | None = None) -> None:
    """Print a report: a table on a terminal, one line for each finding elsewhere."""
    console = console or Console()
    if console.is_terminal:
        table = Table()
        for title in ('set', 'check', 'verdict', 'finding'):
            table.add_column(title, overflow='fold')
        for finding in report.findings:
            verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
            table.add_row(finding.set, finding.check, verdict, Text(finding.text))
        console.print(table)
        console.print(Text(summarise(report)))
        return
    for finding in report.findings:
        line = f'{finding.verdict:5}  {finding.set}  {finding.check}: {finding.text}'
        console.print(Text(line), soft_wrap=True)
    console.print(Text(summarise(report)), soft_wrap=True)


def summarise(report: Report) -> str:
    """Say in one line how many findings there are of each verdict."""
    counts = _count(report.findings)
    found = ', '.join(f'{count} {verdict}' for verdict, count in counts.items())
    return f'{report.num_files} files in {report.seconds:.1f} s: {found}'


def _count(findings: Iterable[Finding]) -> dict[str, int]:
    verdicts = [finding.verdict for finding in findings]
    return {verdict: verdicts.count(verdict) for verdict in _STYLES if verdict in verdicts}  # type: ignore[arg-type]


def write_json(report: Report, path: str) -> None:
    """Write a report as JSON, whole or not at all.

    Raises:
        OSError: If it cannot be written.
    """
    content = {
        'healthy': report.is_healthy,
        'counts': _count(report.findings),
        'files': report.num_files,
        'seconds': round(report.seconds, 3),
        'findings': [finding._asdict() for finding in report.findings],
    }
    write_atomically(path, f'{json.dumps(content, indent=2)}\n'.encode())
