"""Reproduce the paper's experiment: check the data, train both stages, test on every night set, pack the zips.

    python tools/reproduce.py --cityscapes /data/cityscapes --dark-zurich /data/dark_zurich --dry-run
    python tools/reproduce.py --cityscapes /data/cityscapes --dark-zurich /data/dark_zurich --acdc /data/acdc

The same command goes on after an interruption. Results stand in results.md of the work dir.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.repository import ROOT
from benchmarks.reproduction.data_roots import absolute_roots, check_data
from benchmarks.reproduction.forecast import ASSUMED_TFLOPS, forecast_page
from benchmarks.reproduction.plan import (
    SUBMISSIONS,
    TESTS,
    NightTest,
    Submission,
    Training,
    plan,
    set_aside,
)
from benchmarks.reproduction.seed_band import check_runs, draw_curves
from benchmarks.reproduction.tables import write_results
from benchmarks.stages import Stage, run_stages
from mmseg_ccdistill.datasets.file_scan import available_cores
from mmseg_ccdistill.datasets.published_sets import PUBLISHED_SETS
from mmseg_ccdistill.errors import RunError, UserInputError
from mmseg_ccdistill.runtime.command_line import load_config, run_main
from mmseg_ccdistill.runtime.folder_lock import own

#: Sets that ``tools/dataset_converters/prepare.py`` makes something for.
_PREPARED = ('cityscapes', 'dark_zurich', 'bdd100k')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--cityscapes', required=True, metavar='FOLDER', help='root of Cityscapes')
    parser.add_argument(
        '--dark-zurich', required=True, metavar='FOLDER', help='root of Dark Zurich'
    )
    for name in ('acdc', 'bdd100k', 'night-driving'):
        parser.add_argument(f'--{name}', metavar='FOLDER', help='root of a set to test on, too')
    parser.add_argument('--work-dir', default='work_dirs/reproduction', help='folder of all runs')
    parser.add_argument('--seed', type=int, default=0, help='seed of both trainings (default: 0)')
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='reckon hours, memory and disk, and train nothing',
    )
    parser.add_argument(
        '--tflops',
        type=float,
        default=ASSUMED_TFLOPS,
        help=f'TFLOP/s that the forecast assumes (default: {ASSUMED_TFLOPS:g}, measured on an H200)',
    )
    parser.add_argument(
        '--prepare',
        action='store_true',
        help='first make what the archives lack: labelTrainIds, the pair list, the list of BDD100K-night',
    )
    parser.add_argument(
        '--quick-check', action='store_true', help='check the headers of the data only'
    )
    parser.add_argument(
        '--seed-runs',
        nargs='+',
        default=[],
        metavar='FOLDER',
        help='work dirs of the adaptation with other seeds: the band that its curves are drawn in',
    )
    parser.add_argument(
        '--source-config',
        default='configs/refinenet/refinenet_r101_cityscapes.py',
        help='config of the source-only stage (default: that of the paper)',
    )
    parser.add_argument(
        '--config',
        default='configs/ccdistill/refinenet_r101_cs2dz.py',
        help='config of the adaptation (default: that of the paper)',
    )
    args = parser.parse_args(argv)
    if args.tflops <= 0:
        parser.error(f'--tflops must be positive, got {args.tflops:g}')
    return args


def config_path(path: str) -> str:
    """A config of the user's, or one of the repository: absolute.

    Raises:
        UserInputError: If there is none.
    """
    there = str(ROOT / path)
    config = load_config(there if os.path.isfile(there) and not os.path.isfile(path) else path)
    return os.path.abspath(config.filename)


def prepare(roots: Mapping[str, str]) -> None:
    """Make labels and lists in the roots; what is there is kept.

    Raises:
        UserInputError: If a set lacks what they are made from; the tool has said what.
    """
    for name in (name for name in _PREPARED if name in roots):
        words = [str(ROOT / 'tools/dataset_converters/prepare.py'), name, '--root', roots[name]]
        if subprocess.run([sys.executable, *words]).returncode:
            title = PUBLISHED_SETS[name].title
            raise UserInputError(
                f'--prepare: {title} in {roots[name]!r} could not be prepared; the line above says what is missing'
            )


def images_of(stages: Sequence[Stage]) -> int:
    """Published number of images that tests and submissions read."""
    number = 0
    for stage in stages:
        if isinstance(stage, NightTest | Submission):
            name, split = (
                TESTS[stage.target][:2]
                if isinstance(stage, NightTest)
                else SUBMISSIONS[stage.target]
            )
            number += PUBLISHED_SETS[name].split(split).count
    return number


def draw(stages: Sequence[Stage], work_dir: Path, others: Sequence[Path]) -> None:
    """Draw the curves of both trainings, and write how much of the adaptation's lies in the band."""
    trainings = [stage for stage in stages if isinstance(stage, Training)]
    for stage in trainings:
        band = others if stage is trainings[-1] else []
        path = work_dir / f'{stage.name}_curves.svg'
        shares = draw_curves(work_dir / stage.name, band, path)
        print(f'curves: {path}')
        if shares:
            (work_dir / 'seed_band.json').write_text(json.dumps(shares, indent=1) + '\n')
            inside = ', '.join(f'{key} {100 * share:.0f} %' for key, share in shares.items())
            print(f'inside the band of {len(others)} seeds: {inside}')
    if not others:
        print('no band: name runs with other seeds with --seed-runs')


def reproduce(args: argparse.Namespace) -> None:
    """Check, forecast, train, test, pack, and write the results.

    Args:
        args: Of :func:`parse_args`.

    Raises:
        UserInputError: If data, configs or disk do not suffice.
        RunError: If a stage fails; the others that can run have been run.
    """
    roots = absolute_roots({name: getattr(args, name) for name in PUBLISHED_SETS})
    others = [Path(folder).resolve() for folder in args.seed_runs]
    check_runs(others)
    work_dir = Path(args.work_dir).resolve()
    stages = plan(config_path(args.source_config), config_path(args.config), roots, args.seed)
    print(forecast_page(stages, images_of(stages), work_dir, args.tflops), flush=True)
    if args.dry_run:
        return
    if args.prepare:
        prepare(roots)
    if not all(stage.finished(work_dir) for stage in stages if isinstance(stage, Training)):
        check_data(roots, args.quick_check)
    with own(work_dir):  # nothing of another run that goes on in the folder
        set_aside(stages, work_dir)
    failed = run_stages(stages, work_dir, 1, available_cores(), lambda stage, problem: None)
    print('written:', *write_results(stages, work_dir))
    draw(stages, work_dir, others)
    if failed:
        first = next(iter(failed))
        print(failed[first], file=sys.stderr)
        raise RunError(
            f'{len(failed)} of {len(stages)} stages did not end well, first {first.name} (its last lines are above): '
            'correct what they say and start the same command again; what is finished stays'
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Reproduce.

    Args:
        argv: The command line without the program; None: that of this process.

    Returns:
        Exit code.
    """
    return run_main(functools.partial(reproduce, parse_args(argv)))
