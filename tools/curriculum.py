"""Run a curriculum: trainings and labellings in turn, as the config of the last training lists them.

    python tools/curriculum.py configs/gcma/refinenet_r101_cs2dz.py --gpus 1

Each stage runs in a process of its own and writes to a folder below --work-dir. A run that was interrupted goes on
where it stopped; a stage that is done is not made again. A stage that was made from another checkpoint, other labels,
images or settings is refused: --again STAGE makes it and those after it anew and keeps the old folders.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmseg_ccdistill.engine.curriculum_plan import read_plan
from mmseg_ccdistill.engine.curriculum_run import run_curriculum, show_commands
from mmseg_ccdistill.engine.curriculum_stage import Tools
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.override_syntax import add_override_argument
from mmseg_ccdistill.runtime.work_dir import default_work_dir, make_work_dir


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The parsed arguments.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config of the last training, with a list "curriculum"')
    parser.add_argument(
        '--work-dir',
        help='folder of the stages (default: ./work_dirs/<folder of the config>/<its name>)',
    )
    parser.add_argument('--gpus', type=int, default=1, help='processes of each stage (default: 1)')
    parser.add_argument(
        '--again',
        metavar='STAGE',
        help='make this stage and those after it again; their old folders get another name',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='print the commands of the stages and run none'
    )
    add_override_argument(parser)
    return parser.parse_args(argv)


def main() -> None:
    """Run the stages."""
    args = parse_args()
    if args.gpus < 1:
        raise UserInputError(f'--gpus is {args.gpus}: expected the number of processes, from 1 on')
    work_dir = args.work_dir or default_work_dir(args.config)
    stages = read_plan(args.config, work_dir, args.cfg_options)
    tools = Tools.of(Path(__file__).parent)
    if args.dry_run:
        show_commands(stages, tools, args.gpus)
        return
    make_work_dir(work_dir)
    run_curriculum(stages, work_dir, tools, args.gpus, args.again)


if __name__ == '__main__':
    sys.exit(run_main(main))
