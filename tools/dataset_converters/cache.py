#!/usr/bin/env python
"""Copy the images of a data set into a cache that is decoded faster, or not at all: the same pixels.

    python tools/dataset_converters/cache.py data/cityscapes cache/cityscapes --format png

The space is stated first. The tool can be stopped and called again; it goes on with what is missing.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg_ccdistill.curation.caching import (
    check_space,
    fill_cache,
    list_images,
    missing_images,
    prepare_cache,
    space_needed,
)
from mmseg_ccdistill.datasets.image_cache import SUFFIXES
from mmseg_ccdistill.runtime.command_line import run_main


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('root', type=Path, help='data root, e.g. data/cityscapes')
    parser.add_argument('cache', type=Path, help='folder of the cache')
    parser.add_argument(
        '--format',
        choices=list(SUFFIXES),
        default='png',
        help='png: lossless, decoded in about two thirds of the time; raw: arrays mapped into memory (default: png)',
    )
    parser.add_argument(
        '--folders', nargs='+', default=[], help='folders of the root (default: all of it)'
    )
    parser.add_argument(
        '--grey',
        action='store_true',
        help='cache PNG files of one channel, too: grey photos (default: they count as labels)',
    )
    parser.add_argument('--dry-run', action='store_true', help='only say how much space is needed')
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Fill the cache."""
    args = parse_args(argv)
    root = args.root
    names = list_images(root, args.folders, args.grey)
    left_out = len(list_images(root, args.folders, grey=True)) - len(names)
    if args.dry_run:
        print(f'{len(names)} images: {space_needed(root, names, args.format) / 1e9:.2f} GB')
        _say_left_out(left_out)
        return
    cache = prepare_cache(root, args.cache, args.format)
    missing = missing_images(cache, names)
    needed = space_needed(root, missing, args.format)
    print(f'{len(missing)} of {len(names)} images are missing: {needed / 1e9:.2f} GB')
    check_space(cache, needed)
    fill_cache(cache, missing)
    print(f'{args.cache}: {len(names)} images, each with the pixels of its file')
    _say_left_out(left_out)


def _say_left_out(count: int) -> None:
    if count:
        print(
            f'{count} PNG files of one channel are left out, as labels are: grey photos are cached with --grey and '
            '--folders, the folders that hold no labels'
        )


if __name__ == '__main__':
    sys.exit(run_main(main))
