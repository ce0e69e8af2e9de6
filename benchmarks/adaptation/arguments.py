"""The command line of the suites."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks.adaptation.suites import SUITES
from benchmarks.repository import ROOT
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.override_syntax import add_override_argument, parse_overrides


def parse_args(description: str | None, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        description: What the command does.
        argv: Arguments; None takes those of the process.

    Returns:
        The parsed arguments.

    Raises:
        UserInputError: If a number makes no sense.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('suite', choices=list(SUITES))
    parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        help='default: mini and pretrained 0 to 4, real and two_cities 0 to 2, cs2dz 0',
    )
    parser.add_argument(
        '--rows',
        nargs='+',
        default=['headline'],
        help='headline (default), ablations, beyond, oracles, rivals, all, or names',
    )
    parser.add_argument(
        '--variant',
        nargs='+',
        action='append',
        default=[],
        metavar=('NAME', 'KEY=VALUE'),
        help='a row of other settings: the full config (NAME:ROW: that of another row) with these overrides',
    )
    parser.add_argument('--source-iters', type=int, help='length of the shared source stage')
    parser.add_argument('--adapt-iters', type=int, help='length of every row')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/adaptation_<suite>')
    parser.add_argument('--out', type=Path, help='folder of the report; default: <work-dir>/report')
    parser.add_argument(
        '--jobs',
        type=int,
        help='processes at a time; default: one for each GPU, else for each core',
    )
    parser.add_argument(
        '--report-only', action='store_true', help='draw the report of --out again, run nothing'
    )
    parser.add_argument(
        '--compare',
        type=Path,
        metavar='RESULTS_JSON',
        help='stated results of the same suite: say whether the means lie within their intervals',
    )
    parser.add_argument(
        '--test-on',
        type=Path,
        nargs='+',
        default=[],
        metavar='CONFIG',
        help='also test every row on the set that the test_dataloader of another config names',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='print the command of every stage, run nothing'
    )
    parser.add_argument(
        '--first-world',
        type=int,
        default=201,
        help='mini, pretrained: world of seed 0, the next one of seed 1, ...',
    )
    parser.add_argument(
        '--share',
        type=float,
        default=1.0,
        help='mini, pretrained: part of the frames to render, for a trial',
    )
    parser.add_argument(
        '--root', type=Path, help='real, two_cities: folder with cityscapes and dark_zurich'
    )
    parser.add_argument(
        '--kitti', type=Path, help='two_cities: its second city; default: <root>/kitti'
    )
    parser.add_argument('--cityscapes', type=Path, help='cs2dz: data root of Cityscapes')
    parser.add_argument('--dark-zurich', type=Path, help='cs2dz: data root of Dark Zurich')
    add_override_argument(parser)
    args = parser.parse_args(argv)
    _check_read(parser, args)
    args.cfg_options = dict(args.cfg_options or {})
    args.variants = read_variants(args.variant)
    args.seeds = list(dict.fromkeys(args.seeds or SUITES[args.suite].seeds))
    for name in ('source_iters', 'adapt_iters', 'jobs'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserInputError(f'--{name.replace("_", "-")} must be at least 1, got {value}')
    if min(args.seeds) < 0 or args.first_world < 0:
        raise UserInputError('--seeds and --first-world must not be negative')
    if not 0 < args.share <= 1:
        raise UserInputError(f'--share must be above 0 and at most 1, got {args.share}')
    args.work_dir = (args.work_dir or ROOT / f'work_dirs/adaptation_{args.suite}').resolve()
    args.out = (args.out or args.work_dir / 'report').resolve()
    return args


#: Suites that read an option; all read the others.
_READ_BY = {
    'first_world': ('mini', 'pretrained'),
    'share': ('mini', 'pretrained'),
    'root': ('real', 'two_cities'),
    'kitti': ('two_cities',),
    'cityscapes': ('cs2dz',),
    'dark_zurich': ('cs2dz',),
}


def _check_read(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse an option that the suite would not read."""
    for name, suites in _READ_BY.items():
        if getattr(args, name) != parser.get_default(name) and args.suite not in suites:
            raise UserInputError(
                f'--{name.replace("_", "-")} is for {" and ".join(suites)}: {args.suite} does not read it; leave it '
                'out, or name another suite'
            )


def read_variants(variants: Sequence[Sequence[str]]) -> dict[str, dict[str, str]]:
    """Overrides by name of all uses of ``--variant``.

    Args:
        variants: The words of each use.

    Raises:
        UserInputError: If two have one name, or one sets a key twice.
        OverrideError: If a word is no override.
    """
    found: dict[str, dict[str, str]] = {}
    for words in variants:
        name, options = read_variant(words)
        if name in found:
            raise UserInputError(
                f'--variant {name}: the name is given twice, and one row would be lost: expected a name of its own '
                'for each; rename one, or put the settings of both behind one --variant'
            )
        found[name] = options
    return found


def read_variant(words: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Name and overrides of a ``--variant``.

    Args:
        words: The name, then ``key=value``.

    Returns:
        The name, and values by key, as text.

    Raises:
        OverrideError: If a word is no override.
        UserInputError: If a key is given twice.
    """
    name, *overrides = words
    parse_overrides(overrides, f'--variant {name}')
    keys = [word.partition('=')[0] for word in overrides]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise UserInputError(
            f'--variant {name}: {twice[0]} is given twice: expected one value; take the other out, or give it a '
            '--variant of its own'
        )
    return name, dict(word.split('=', 1) for word in overrides)
