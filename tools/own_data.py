"""Write the configs of a training on images and classes of your own.

FOLDER holds, with photos that all end in .jpg or all in .png:

    day/images/NAME.jpg       photos by day
    day/labels/NAME.png       their labels: one channel of ids, 0 for the first class, 255 where nothing is known
    night/images/NAME.jpg     photos at night, each with the name of a day photo of about the same place
    night/labels/NAME.png     labels of the nights, to measure on; can be left out
    pairs.csv                 lines night/images/NAME,day/images/NAME; needed only where the names differ

The configs are configs/NAME_source.py, which trains on the days, configs/NAME.py, which adapts to the nights as the
paper does, and configs/NAME_matched.py, which does it with matched distillation. What exists is kept. For example:

    ccdistill own-data data/my_streets --classes sky road "lane marking" bus person --static sky road "lane marking"
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from mmseg_ccdistill.curation.own_data import read_own_data, write_own_configs
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import run_main


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', metavar='FOLDER', help='folder of the images')
    parser.add_argument(
        '--classes',
        nargs='+',
        required=True,
        metavar='CLASS',
        help='names of the classes in the order of their ids, two at least',
    )
    parser.add_argument(
        '--static',
        nargs='+',
        required=True,
        metavar='CLASS',
        help='those of them that stay in place between the day photo and the night photo, such as road and building; '
        'the day teaches the night these alone',
    )
    parser.add_argument('--name', help='name of the configs (default: that of FOLDER)')
    parser.add_argument('--force', action='store_true', help='replace configs that exist')
    return parser.parse_args(argv)


def main() -> None:
    """Look, write, and say what comes next."""
    args = parse_args()
    if len(set(args.classes)) != len(args.classes) or len(args.classes) < 2:
        raise UserInputError(
            f'--classes names {", ".join(args.classes)}: expected two names or more, each once; correct it'
        )
    name = args.name or os.path.basename(os.path.abspath(args.folder))
    data = read_own_data(args.folder, args.classes)
    source, adaptation, matched = write_own_configs(
        data, args.classes, args.static, name, args.force
    )
    nights = 'labelled nights to measure on' if data.has_night_labels else 'no labelled nights'
    if data.num_unpaired:
        nights += f', {data.num_unpaired} nights in no pair, which no training sees'
    if data.num_of_one_name:
        nights += (
            f' ({data.num_of_one_name} have a day of their name that pairs.csv does not list: add them, or delete '
            'pairs.csv to pair by name anew)'
        )
    print(
        f'{args.folder}: {data.num_days} labelled days, {data.num_pairs} pairs, {nights}\n'
        f'{source}, {adaptation} and {matched} are written. Next:\n\n'
        f'    ccdistill train {source}\n'
        f'    ccdistill train {adaptation}\n'
        f'    ccdistill train {matched}\n'
        f'    ccdistill predict work_dirs/{name}/iter_600.pth VIDEO.mp4\n'
        f'    ccdistill report work_dirs/{name} --evaluate\n'
        f'    ccdistill export {adaptation} work_dirs/{name}/iter_600.pth work_dirs/{name}/night --format onnx\n\n'
        'The third one is matched distillation in place of the terms of the paper: in our small runs it was the better '
        "of the two.\nThe last one needs `pip install 'mmseg-ccdistill[onnx]'`."
    )


if __name__ == '__main__':
    sys.exit(run_main(main))
