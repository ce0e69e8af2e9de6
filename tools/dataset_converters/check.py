"""Check the public sets on disk against what was published: a verdict per line.

Counts, sizes, readable files, label values, pairs, reference frames, and frames that two sets
share. Exit status: 0 without faults, 1 with faults, 2 if the call is wrong.

    python tools/dataset_converters/check.py
    python tools/dataset_converters/check.py --roots cityscapes=/datasets/cityscapes --quick
"""

from __future__ import annotations

import argparse
import os
import sys

from mmseg_ccdistill.curation.audit import examine, show_report, write_json
from mmseg_ccdistill.datasets.published_sets import PUBLISHED_SETS
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import run_main


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--roots',
        nargs='+',
        metavar='SET=FOLDER',
        help=f'root folders by set ({", ".join(PUBLISHED_SETS)}); '
        'a set alone means data/<set> (default: every data/<set> that exists)',
    )
    parser.add_argument(
        '--quick',
        action='store_true',
        help='read headers only: seconds instead of minutes, but no label values, '
        'no broken pixels and no re-encoded frames',
    )
    parser.add_argument('--json', metavar='FILE', help='write the findings to this new file, too')
    parser.add_argument(
        '--workers', type=int, help='processes (default: one for each available core)'
    )
    args = parser.parse_args()
    if args.workers is not None and args.workers < 1:
        parser.error(f'--workers must be at least 1, got {args.workers}')
    return args


def parse_roots(entries: list[str] | None) -> dict[str, str]:
    """Read ``SET=FOLDER`` entries; without any, take every ``data/<set>`` that exists.

    Returns:
        Root by key of the set.

    Raises:
        UserInputError: If a set is unknown or named twice, or there is nothing to check.
    """
    if entries is None:
        roots = {name: os.path.join('data', name) for name in PUBLISHED_SETS}
        roots = {name: root for name, root in roots.items() if os.path.isdir(root)}
        if not roots:
            raise UserInputError(
                f"There is nothing to check below 'data': expected {' or '.join(PUBLISHED_SETS)} "
                'there; prepare a set (docs/data.md) or give --roots SET=FOLDER.'
            )
        return roots
    roots = {}
    for entry in entries:
        name, _, root = entry.partition('=')
        if name not in PUBLISHED_SETS:
            raise UserInputError(
                f'--roots: there is no set {name!r}: expected SET=FOLDER with one of '
                f'{", ".join(PUBLISHED_SETS)}.'
            )
        if name in roots:
            raise UserInputError(f'--roots: {name!r} is given twice: expected every set once.')
        roots[name] = root or os.path.join('data', name)
    return roots


def check_report_path(path: str) -> None:
    """Check that the report can get its name, before the minutes that it takes.

    Raises:
        UserInputError: If there is something of that name, or no folder that takes it.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.lexists(path):
        raise UserInputError(f'--json: {path!r} exists already; name another file.')
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        raise UserInputError(
            f'--json: {path!r} cannot be written: expected {folder!r} to be a folder that can be '
            'written to; name another file.'
        )


def main() -> None:
    """Examine, show, and leave with the exit status."""
    args = parse_args()
    if args.json is not None:
        check_report_path(args.json)
    report = examine(parse_roots(args.roots), quick=args.quick, workers=args.workers)
    show_report(report)
    if args.json is not None:
        try:
            write_json(report, args.json)
        except OSError as error:
            raise UserInputError(
                f'--json: {args.json!r} cannot be written: {error.strerror}; name another file.'
            ) from error
    if not report.is_healthy:
        raise SystemExit(1)


if __name__ == '__main__':
    sys.exit(run_main(main))
