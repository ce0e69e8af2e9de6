"""Bring a public set into the layout that the configs read.

Unpacks archives or links unpacked folders, makes Cityscapes' labelTrainIds, the pair list of Dark
Zurich and the list of BDD100K-night. An interrupted run can be run again; nothing is overwritten.

    python tools/dataset_converters/prepare.py cityscapes \
        leftImg8bit_trainvaltest.zip gtFine_trainvaltest.zip
    python tools/dataset_converters/prepare.py dark_zurich /datasets/Dark_Zurich
    python tools/dataset_converters/prepare.py bdd100k bdd100k_images_10k.zip \
        bdd100k_sem_seg_labels_trainval.zip --list images_trainval_night_correct_filenames.txt
"""

from __future__ import annotations

import argparse
import os
import sys

from mmseg_ccdistill.curation.prepare import (
    TWILIGHT_PAIRS,
    place_sources,
    write_bdd100k_night,
    write_dark_zurich_pairs,
    write_train_ids,
)
from mmseg_ccdistill.datasets.published_sets import (
    BDD100K,
    CITYSCAPES,
    CORRESPONDENCES,
    DARK_ZURICH,
    NIGHT_LIST,
    PUBLISHED_NIGHT_LIST,
    PUBLISHED_SETS,
    PublishedSet,
)
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import run_main

_LIST_OF = {'dark_zurich': 'a CSV of night,day pairs', 'bdd100k': 'the 87-line list of MGCDA'}


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('set', choices=list(PUBLISHED_SETS), help='which set')
    parser.add_argument(
        'sources',
        nargs='*',
        metavar='SOURCE',
        help='zip or tar files, or folders that were unpacked before; '
        'none if the root holds the files already',
    )
    parser.add_argument('--root', help='root folder of the set (default: data/<set>)')
    parser.add_argument(
        '--list',
        help=f'dark_zurich: take the pairs from this CSV or folder instead of {CORRESPONDENCES}; '
        'bdd100k: the published list of the 87 night images',
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        '--link', action='store_true', help='link the files of folders (this is the default)'
    )
    how.add_argument(
        '--copy', action='store_true', help='copy the files of folders instead of linking them'
    )
    parser.add_argument(
        '--workers', type=int, help='processes (default: one for each available core)'
    )
    args = parser.parse_args()
    if args.workers is not None and args.workers < 1:
        parser.error(f'--workers must be at least 1, got {args.workers}')
    if args.list is not None and args.set not in _LIST_OF:
        parser.error(f'--list belongs to {" and ".join(_LIST_OF)}; {args.set} needs no list')
    return args


def main() -> None:
    """Place the files, then make what the archives lack."""
    args = parse_args()
    published = PUBLISHED_SETS[args.set]
    root = args.root or os.path.join('data', args.set)
    try:
        if not args.sources and not os.path.isdir(root):
            raise UserInputError(
                f'The root {root!r} does not exist: expected the files of {published.title} there '
                f'or a source; give {" and ".join(published.archives)} or a folder.'
            )
        placed = place_sources(args.sources, root, published, copy=args.copy)
        left = f', {placed.left_out} of no use left out' if placed.left_out else ''
        print(f'{root}: {placed.written} files placed, {placed.kept} kept{left}')
        if args.set == 'cityscapes':
            _label_cityscapes(root, args.workers)
        elif args.set == 'dark_zurich':
            _pair_dark_zurich(root, args.list)
        elif args.set == 'bdd100k':
            _list_bdd100k(root, args.list)
    except OSError as error:
        raise UserInputError(
            f'{error.filename or root!r}: {error.strerror or error}; '
            'expected to read the sources and to write below the root.'
        ) from error
    print(f'Check it: python tools/dataset_converters/check.py --roots {args.set}={root}')


def _label_cityscapes(root: str, workers: int | None) -> None:
    """Make the labels, unless only the images have been given so far."""
    if not os.path.isdir(os.path.join(root, 'gtFine')):
        print(f'labelTrainIds: left out until {CITYSCAPES.archives[1]} is given, too')
        return
    made = write_train_ids(root, workers=workers)
    print(f'labelTrainIds: {made.written} written, {made.kept} kept')


def _pair_dark_zurich(root: str, source: str | None) -> None:
    """Make the pair lists, unless the training images have not been given."""
    if source is None and not os.path.isdir(
        os.path.join(root, DARK_ZURICH.split('train night').images)
    ):
        print(f'pair list: left out until {DARK_ZURICH.archives[0]} is given, too')
        return
    path, count = write_dark_zurich_pairs(root, source)
    print(f'{path}: {count} pairs{_published_count(DARK_ZURICH, count)}')
    if os.path.isdir(os.path.join(root, TWILIGHT_PAIRS.correspondences)):
        path, count = write_dark_zurich_pairs(root, pairs_of=TWILIGHT_PAIRS)
        published = DARK_ZURICH.split('train twilight').count
        print(
            f'{path}: {count} pairs'
            + (f' ({published} are published)' if count != published else '')
        )


def _list_bdd100k(root: str, source: str | None) -> None:
    """Write the list of night images, or say how to get it."""
    if source is None and os.path.isfile(os.path.join(root, NIGHT_LIST)):
        source = os.path.join(root, NIGHT_LIST)
    if source is None:
        raise UserInputError(
            'The list of the 87 night images is missing: expected '
            f'{PUBLISHED_NIGHT_LIST}; download it from the MGCDA repository '
            '(data/bdd100k_lists_file_names) and give it with --list.'
        )
    path, count = write_bdd100k_night(root, source)
    print(f'{path}: {count} images{_published_count(BDD100K, count)}')


def _published_count(published: PublishedSet, count: int) -> str:
    """Say how many there should be, if there are others."""
    split = next(iter(published.layouts.values()))[0]
    return '' if count == split.count else f' ({split.count} are published)'


if __name__ == '__main__':
    sys.exit(run_main(main))
