"""Render the mini night benchmark: ``python tools/dataset_converters/mini_night.py OUT``."""

from __future__ import annotations

import argparse
import sys
import time

from mmseg_ccdistill.mini_night import write_mini_night


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', help='root folder of the set, e.g. data/mini_night')
    parser.add_argument(
        '--seed', type=int, default=0, help='renderer seed: 0 is the canonical pair of worlds'
    )
    parser.add_argument(
        '--num-source-train', type=int, default=240, help='labelled source days for training'
    )
    parser.add_argument(
        '--num-source-val', type=int, default=40, help='labelled source days for validation'
    )
    parser.add_argument(
        '--num-pairs', type=int, default=160, help='unlabelled day-night pairs of the target'
    )
    parser.add_argument(
        '--num-target-val',
        type=int,
        default=40,
        help='labelled target nights (and days) for validation',
    )
    for name, size in (('source', (512, 256)), ('target', (480, 270))):
        parser.add_argument(
            f'--{name}-size', type=int, nargs=2, default=size, metavar=('WIDTH', 'HEIGHT')
        )
    parser.add_argument(
        '--night',
        choices=('easy', 'hard'),
        default='easy',
        help='light of the nights; the days are the same (default: easy)',
    )
    parser.add_argument(
        '--twilight',
        action='store_true',
        help='add a training frame in twilight for each pair, with its day correspondence',
    )
    parser.add_argument(
        '--source-at-night',
        action='store_true',
        help='add the source training images at night, for an upper bound',
    )
    parser.add_argument(
        '--workers', type=int, default=None, help='processes (default: one per available core)'
    )
    return parser.parse_args()


def main() -> int:
    """Render, and say where and how long."""
    args = vars(parse_args())
    out = args.pop('out')
    args['source_size'], args['target_size'] = (
        tuple(args['source_size']),
        tuple(args['target_size']),
    )
    start = time.perf_counter()
    try:
        root = write_mini_night(out, **args)
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'mini night is in {root} ({time.perf_counter() - start:.1f} s)')
    return 0


if __name__ == '__main__':
    sys.exit(main())
