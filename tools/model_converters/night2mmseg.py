#!/usr/bin/env python
"""Export the night segmentor M_n of a CCDistill run as an ordinary MMSegmentation checkpoint and config."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.export.branch_export import (
    STEPS,
    ExportMismatchError,
    ExportReport,
    export_files,
    load_plain,
    output_files,
)
from mmseg_ccdistill.export.deployment import check_deployable, deploy, format_files, image_size
from mmseg_ccdistill.export.deployment_formats import FORMATS, check_installed
from mmseg_ccdistill.export.plain_config import plain_config
from mmseg_ccdistill.export.safetensors_copy import copy_files, write_safetensors
from mmseg_ccdistill.runtime.command_line import load_config, run_main
from mmseg_ccdistill.runtime.output_place import check_output_file


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
        '--format',
        nargs='+',
        default=[],
        choices=[*FORMATS, 'safetensors'],
        help='write the network in other formats, too: OUT.pt, OUT.onnx, OUT.xml and OUT.bin, '
        'OUT.safetensors (weights) and OUT.json (classes, palette, model)',
    )
    parser.add_argument(
        '--safetensors', action='store_true', help='the same as --format safetensors'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='image that an exported network takes (default: that of the test pipeline)',
    )
    parser.add_argument('--dynamic', action='store_true', help='let it take images of any size')
    parser.add_argument(
        '--images',
        type=Path,
        nargs='+',
        default=[],
        help='frames on which its labels are compared with those of torch (default: synthetic ones)',
    )
    return parser.parse_args(argv)


def write_formats(report: ExportReport, args: argparse.Namespace, formats: Sequence[str]) -> None:
    """Write the exported network in formats for deployment; a line for each.

    Args:
        report: What was exported.
        args: The arguments.
        formats: Keys of ``FORMATS``.
    """
    config = Config.fromfile(str(report.config))
    for name in formats:
        size = tuple(args.size or image_size(config))
        network = load_plain(report.checkpoint, report.config)
        done = deploy(network, name, args.out, size, args.dynamic, args.images)
        taken = 'images of any size' if done.dynamic else f'{size[0]} x {size[1]}'
        print(
            f'{", ".join(map(str, done.files))}: {taken}; labels of {done.frames} frames as torch gives '
            f'them: {done.agreement:.6f}'
        )


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
    formats = [name for name in dict.fromkeys(args.format) if name in FORMATS]
    check_installed(formats)
    if args.size and min(args.size) < 1:
        raise UserInputError(
            f'--size must be two positive numbers, got {args.size[0]} {args.size[1]}'
        )
    for image in args.images:
        if not image.is_file():
            raise UserInputError(f'--images: {image} is not there')
    for option in ('size', 'dynamic', 'images'):
        if getattr(args, option) and not formats:
            raise UserInputError(
                f'--{option} is for a network of another runtime: name one with --format {", ".join(FORMATS)}, or '
                'leave it out'
            )
    copies = copy_files(args.out) if args.safetensors or 'safetensors' in args.format else None
    others = [file for name in formats for file in format_files(args.out, name)]
    for copy in [*(copies or ()), *others]:
        check_output_file(copy, 'choose another OUT')
        if copy.exists() and not args.force:
            raise UserInputError(f'{copy} exists: choose another name or pass --force')
    for target in output_files(args.out, args.force):
        for source in (args.config, args.checkpoint):
            if target.exists() and source.exists() and target.samefile(source):
                raise UserInputError(f'OUT would replace {source}: choose another name')
    config = load_config(str(args.config))
    if formats:
        plain = plain_config(config)
        check_deployable(plain, tuple(args.size or image_size(plain)), args.dynamic, args.images)
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
    try:
        write_formats(report, args, formats)
    except ExportMismatchError as error:
        print(f'error: {error}; it was not written.', file=sys.stderr)
        raise SystemExit(1) from error


if __name__ == '__main__':
    sys.exit(run_main(main))
