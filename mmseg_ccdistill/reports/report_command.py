"""The command ``ccdistill report``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserInputError
from ..runtime.atomic_file import write_atomically
from ..runtime.command_line import add_trust_argument, load_config, trust_pickle
from .changed_settings import find_base
from .run_folder import read_run
from .run_page import comparison_page, run_page
from .set_scores import measure_scores

_DESCRIPTION = """Write a report of one training, or compare several, as a single web page.

One RUN: the settings that differ from its config, the curves of all loss terms, Cor maps, pseudo labels, learning
rate, time and memory, IoU of each class, the worst images, the machine. The page is RUN/report.html.
Several RUNs: their scores over seeds with intervals, the settings in which they differ, their curves together. The
page is comparison.html in the working directory.
"""
#: What a page of ours begins with; such a page is replaced without --force.
_OURS = b'<meta name="generator" content="mmseg-ccdistill report">'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(
        prog='ccdistill report',
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('runs', nargs='+', metavar='RUN', help='work dir of a training')
    parser.add_argument('--out', help='page to write (.html)')
    parser.add_argument('--base', help='config to compare the settings of one RUN with')
    parser.add_argument(
        '--evaluate',
        action='store_true',
        help='test the newest checkpoint of each RUN on the test set of its config first, for the scores by class and '
        'the worst images; kept in RUN/report',
    )
    parser.add_argument('--checkpoint', help='checkpoint of one RUN to test instead')
    parser.add_argument('--force', action='store_true', help='replace a file that is no report')
    add_trust_argument(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the page and print its name.

    Args:
        argv: Arguments; None takes those of the process.

    Raises:
        UserInputError: If an argument, a run or the place of the page is not what it must be.
    """
    args = parse_args(argv)
    trust_pickle(args.trust_pickle)
    for name in ('base', 'checkpoint'):
        if getattr(args, name) is not None and len(args.runs) > 1:
            raise UserInputError(f'--{name} is for one RUN: leave it out, or report on one run')
    if args.checkpoint is not None and not args.evaluate:
        raise UserInputError('--checkpoint names what --evaluate tests: add --evaluate')
    names: dict[str, str] = {}
    for name in args.runs:
        first = names.get(os.path.realpath(name))
        if first is not None:
            also = '' if first == name else f', as {first!r} too'
            raise UserInputError(f'the run {name!r} is named twice{also}: name each once')
        names[os.path.realpath(name)] = name
    runs = [read_run(folder) for folder in args.runs]
    out = Path(
        args.out or (runs[0].folder / 'report.html' if len(runs) == 1 else 'comparison.html')
    )
    check_page_path(out, args.force)
    base = None
    if len(runs) == 1:
        base = Path(args.base) if args.base is not None else find_base(runs[0])
    if args.base is not None:
        load_config(args.base)  # says in one sentence what is wrong with it
    if args.evaluate:
        for run in runs:
            measure_scores(run, args.checkpoint)
    page = run_page(runs[0], base) if len(runs) == 1 else comparison_page(runs)
    write_atomically(out, page.encode())
    print(out)


def check_page_path(path: Path, force: bool) -> None:
    """Check that a page can be written.

    Args:
        path: The page.
        force: Whether a file that is no report may be replaced.

    Raises:
        UserInputError: If it is not ``.html``, its folder is missing or read-only, or another file would be lost.
    """
    if path.suffix.lower() not in ('.html', '.htm'):
        raise UserInputError(f'--out: {str(path)!r} does not end in .html: name a web page')
    if not path.parent.is_dir():
        raise UserInputError(
            f'--out: the folder {str(path.parent)!r} does not exist; make it first'
        )
    if not os.access(path.parent, os.W_OK):
        raise UserInputError(
            f'the folder {str(path.parent)!r} cannot be written to; name another page with --out PAGE.html'
        )
    if path.is_dir():
        raise UserInputError(f'--out: {str(path)!r} is a folder; name a web page')
    if path.exists() and not force and _OURS not in path.read_bytes()[:2000]:
        raise UserInputError(
            f'{str(path)!r} exists and is no report; name another page with --out, or replace it with --force'
        )
