"""Time of a training step of every row, side by side, on random weights and synthetic frames of the suite's sizes.

``python -m benchmarks.adaptation.step_times mini --rows headline rivals --out FILE.json`` takes about two minutes on
one core. The times that a suite logs hold all that ran beside each row; these are taken in turn.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.adaptation.results import machine
from benchmarks.adaptation.row_configs import row_config
from benchmarks.adaptation.rows import BASELINE, ROWS
from benchmarks.adaptation.suites import SUITES, Suite, choose_rows
from benchmarks.gpu.settings import Settings
from benchmarks.gpu.training import Mode, Training, load_config, precision
from benchmarks.repository import ROOT
from benchmarks.timing import time_interleaved
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.output_place import check_output_file


def step_times(suite: Suite, rows: Sequence[str], rounds: int) -> dict[str, dict[str, float]]:
    """Processor time of a step of each row on one thread, in turn, in the middle of a run.

    Args:
        suite: The suite.
        rows: Names of the rows; of a row in stages the last training counts.
        rounds: Timed steps of each.

    Returns:
        By row ``ms``, the median, ``value``, its ratio to that of the baseline, ``low`` and ``high``, the quartiles of
        the ratio over rounds.
    """
    settings, mode = Settings(torch.device('cpu')), Mode(benchmark=False)
    names = list(dict.fromkeys([BASELINE, *rows]))
    with tempfile.TemporaryDirectory() as folder, precision(mode):
        configs = {name: str(ROOT / row_config(suite, name, Path(folder))) for name in names}
        trainings = {}
        for name, path in configs.items():
            config = load_config(path, settings)
            config.merge_from_dict(dict(ROWS[name].options))
            trainings[name] = Training(settings, config, mode)
        for training in trainings.values():
            # where self-training has taken over, and not an iteration that is logged
            training.skip_to(training.runner.max_iters // 2 + 1)
        times = time_interleaved({name: t.step for name, t in trainings.items()}, rounds)
    ratios = {name: times.ratio(name, BASELINE) for name in names}
    return {
        name: dict(
            ms=round(1e3 * times.median(name), 2),
            value=round(ratios[name].value, 4),
            low=round(ratios[name].low, 4),
            high=round(ratios[name].high, 4),
        )
        for name in names
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Time the steps and write them down.

    Args:
        argv: Arguments. Defaults to None, those of the command line.
    """
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.adaptation.step_times',
        description=(__doc__ or '').split('\n', 1)[0],
    )
    parser.add_argument('suite', choices=[name for name in SUITES if name != 'cs2dz'])
    parser.add_argument('--rows', nargs='+', default=['headline', 'rivals'], help='rows or groups')
    parser.add_argument('--rounds', type=int, default=9, help='timed steps of each (default: 9)')
    parser.add_argument('--out', type=Path, help='JSON file to write (default: print it)')
    args = parser.parse_args(argv)
    if args.rounds < 2:
        raise UserInputError(f'--rounds must be at least 2, got {args.rounds}')
    if args.out is not None:
        check_output_file(args.out)
    suite = SUITES[args.suite]
    found: dict[str, Any] = dict(
        suite=args.suite,
        device=machine(),
        torch=torch.__version__,
        rounds=args.rounds,
        rows=step_times(suite, choose_rows(args.rows, suite), args.rounds),
    )
    text = json.dumps(found, indent=1) + '\n'
    if args.out is None:
        print(text)
    else:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(args.out, text.encode())


if __name__ == '__main__':
    sys.exit(run_main(functools.partial(main, None)))
