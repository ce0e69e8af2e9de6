#!/usr/bin/env python
"""Export the night segmentor M_n of a CCDistill run as an ordinary MMSegmentation checkpoint and config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.export.branch_export import (
    STEPS,
    ExportMismatchError,
    ExportReport,
    export_files,
    output_files,
)
from mmseg_ccdistill.export.safetensors_copy import copy_files, write_safetensors
from mmseg_ccdistill.runtime.command_line import load_config, run_main


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=Path, help='config of the adaptation')
    parser.add_argument('checkpoint', type=Path, help='its training checkpoint (.pth)')
    parser.add_argument('out', type=Path, help='where to write: OUT.pth and OUT.py')
    parser.add_argument(
        '--branch',
        default='night',
        help='network to export, one that the method trains: day, night, ... (default: night, M_n)',
    )
    parser.add_argument('--force', action='store_true', help='replace files that exist')
    parser.add_argument(
        '--safetensors',
        action='store_true',
        help='write OUT.safetensors (weights) and OUT.json (classes, palette, model), too',
    )
    return parser.parse_args(argv)


def describe(report: ExportReport, branch: str) -> str:
    """What was written, what it needs and what it leaves out, a line each."""
    lines = [
        f'{report.checkpoint}, {report.config}: {report.num_tensors} tensors, '
        f'{report.num_parameters:,} parameters; {len(report.left_out)} tensors of training left out',
        f'loaded again strictly; logits identical to {branch}',
    ]
    if report.components:
        lines.append(f'needs mmseg_ccdistill at inference: {", ".join(report.components)}')
    elif report.test_components:
        lines.append(
            'plain MMSegmentation runs it; testing needs mmseg_ccdistill: '
            f'{", ".join(report.test_components)}'
        )
    else:
        lines.append('plain MMSegmentation runs it')
    if report.is_reweighted:
        lines.append(
            'without model.test_reweight_std: a plain segmentor does not re-weight its logits'
        )
    return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Export.

    Raises:
        SystemExit: With code 1 if the written files predict something else.
    """
    args = parse_args(argv)
    copies = copy_files(args.out) if args.safetensors else None
    for copy in copies or ():
        if copy.exists() and not args.force:
            raise UserInputError(f'{copy} exists: choose another name or pass --force')
    for target in output_files(args.out, args.force):
        for source in (args.config, args.checkpoint):
            if target.exists() and source.exists() and target.samefile(source):
                raise UserInputError(f'OUT would replace {source}: choose another name')
    config = load_config(str(args.config))
    console = Console(stderr=True)
    columns = (TextColumn('{task.description}'), BarColumn(20), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    task = bar.add_task('', total=len(STEPS))

    def on_step(step: str) -> None:
        bar.update(task, description=step, completed=STEPS.index(step))

    try:
        with bar:
            report = export_files(
                config, args.checkpoint, args.out, args.branch, args.force, on_step
            )
    except ExportMismatchError as error:
        print(f'error: {error}; nothing was written.', file=sys.stderr)
        raise SystemExit(1) from error
    print(describe(report, args.branch))
    if copies is not None:
        write_safetensors(report.checkpoint, report.config, copies)
        print(f'{copies[0]}, {copies[1]}: the same weights as safetensors, and what they are of')


if __name__ == '__main__':
    sys.exit(run_main(main))
