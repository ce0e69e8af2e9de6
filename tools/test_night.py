"""Test a checkpoint on the night sets: one table with a column for each set."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, TestLoop
from mmseg.registry import RUNNERS
from rich.console import Console

from mmseg_ccdistill.datasets.file_check import DatasetCheckError, build_dataset
from mmseg_ccdistill.engine.class_check import check_classes
from mmseg_ccdistill.engine.prediction_folders import keep_folders
from mmseg_ccdistill.engine.shared_memory import check_shared_memory
from mmseg_ccdistill.engine.start_up_checks import check_checkpoint_content
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation import NightIoUMetric, SetReport, rich_table, write_reports
from mmseg_ccdistill.runtime.command_line import (
    NAMED_BY_CHECKPOINT,
    add_launch_arguments,
    load_config,
    run_main,
    trust_pickle,
)
from mmseg_ccdistill.runtime.config_errors import named_mistakes
from mmseg_ccdistill.runtime.config_overrides import apply_overrides
from mmseg_ccdistill.runtime.output_place import check_output_folder
from mmseg_ccdistill.runtime.processes import set_up_processes
from mmseg_ccdistill.runtime.work_dir import set_work_dir

#: Sets by name, with the file in configs/_base_/datasets that describes each and prefixes its variables.
SETS = {
    'dz-val': 'dark_zurich_val',
    'acdc-night-val': 'acdc_night_val',
    'bdd100k-night': 'bdd100k_night',
    'night-driving': 'night_driving',
}
#: What this tool sets for each set in turn.
OVERRULED = dict.fromkeys(
    ('test_dataloader', 'test_evaluator', 'test_cfg'),
    'it is set from the names of --sets; write, for example, acdc_night_val_dataloader in its place',
)
DEFAULT_SETS = ('dz-val', 'acdc-night-val', 'bdd100k-night')
_BASES = Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'datasets'


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Data elsewhere: --cfg-options acdc_night_val_dataloader.dataset.data_root=/data/acdc',
    )
    parser.add_argument('config', help='config file of the model')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--sets',
        nargs='+',
        choices=list(SETS),
        default=list(DEFAULT_SETS),
        metavar='SET',
        help=f'sets to test on, of {", ".join(SETS)} (default: {" ".join(DEFAULT_SETS)})',
    )
    parser.add_argument('--out', help='folder for the table as JSON and Markdown')
    add_launch_arguments(parser)
    return parser.parse_args(argv)


def add_night_sets(config: Config, sets: Sequence[str]) -> None:
    """Add the dataloaders and evaluators of night sets that a config does not define itself."""
    for name in sets:
        for key, value in load_config(str(_BASES / f'{SETS[name]}.py')).items():
            config.setdefault(key, value)


def check_night_sets(config: Config, sets: Sequence[str]) -> None:
    """Check folders, lists and that there are images, for every set, before anything is built.

    Raises:
        UserInputError: At the first set that cannot be tested; the message names the sets that can.
    """
    init_default_scope(config.get('default_scope', 'mmseg'))
    errors: dict[str, DatasetCheckError] = {}
    for name in sets:
        try:
            build_dataset({**config[f'{SETS[name]}_dataloader'].dataset, 'pipeline': []})
        except DatasetCheckError as error:
            errors[name] = error
    if errors:
        first = next(iter(errors))
        left = [name for name in sets if name not in errors]
        advice = 'docs/data.md says how to prepare a set'
        if left:
            advice += f'; to test the others: --sets {" ".join(left)}'
        raise UserInputError(f'{first}: {errors[first]} ({advice})')


def report_stem(folder: str, checkpoint: str) -> str:
    """Name the report files of a checkpoint.

    Raises:
        UserInputError: If there are such files already, or the folder cannot be written to.
    """
    check_output_folder(folder)
    stem = os.path.join(folder, f'{Path(checkpoint).stem}_night')
    for path in (f'{stem}.json', f'{stem}.md'):
        if os.path.exists(path):
            raise UserInputError(f'--out: {path!r} exists already; name another folder')
    return stem


def test_sets(runner: Runner, sets: Sequence[str], reports: list[SetReport]) -> None:
    """Run the test loop once for each set, with the weights loaded once.

    Args:
        runner: Runner whose config holds the sets.
        sets: Names, keys of ``SETS``.
        reports: Where the results are added, on the main process.

    Raises:
        UserInputError: If the evaluator of a set is not a ``NightIoUMetric``.
    """
    for name in sets:
        variables = SETS[name]
        loop = TestLoop(
            runner, runner.cfg[f'{variables}_dataloader'], runner.cfg[f'{variables}_evaluator']
        )
        metrics = [
            metric for metric in loop.evaluator.metrics if isinstance(metric, NightIoUMetric)
        ]
        if not metrics:
            raise UserInputError(
                f'{variables}_evaluator: expected a NightIoUMetric, from which the table is made'
            )
        metrics[0].prefix = metrics[0].dataset_name  # the log keeps the scores of earlier sets
        runner._test_loop = loop  # mmengine has no setter; its hooks look here for the dataloader
        runner.test()
        if metrics[0].report is not None:
            reports.append(metrics[0].report)


def main() -> None:
    """Test."""
    args = parse_args()
    trust_pickle(args.trust_pickle)
    sets = list(dict.fromkeys(args.sets))
    config = load_config(args.config)
    add_night_sets(config, sets)
    own = [f'{name}_{part}' for name in SETS.values() for part in ('dataloader', 'evaluator')]
    overruled = {**NAMED_BY_CHECKPOINT, **OVERRULED}
    apply_overrides(config, args.config, args.cfg_options, own, overruled)
    set_work_dir(config, args.config, args.work_dir)
    stem = report_stem(args.out, args.checkpoint) if args.out is not None else None
    check_night_sets(config, sets)
    check_classes(config, [f'{SETS[name]}_dataloader' for name in sets])
    check_checkpoint_content(args.checkpoint, 'the argument CHECKPOINT')
    for name in sets:
        keep_folders(config, SETS[name])
    config.load_from, config.resume = args.checkpoint, False
    config.test_dataloader = config[f'{SETS[sets[0]]}_dataloader']
    config.test_evaluator = config[f'{SETS[sets[0]]}_evaluator']
    config.test_cfg = dict(type='TestLoop')
    for name in sets:
        check_shared_memory(config, [f'{SETS[name]}_dataloader'])
    set_up_processes(config, args.launcher, args.local_rank)
    reports: list[SetReport] = []
    try:
        with named_mistakes(config):
            test_sets(RUNNERS.build(config), sets, reports)
    finally:  # a set that fails does not take the others' results with it
        if reports and is_main_process():
            title = f'{Path(args.config).stem}, {Path(args.checkpoint).name}'
            Console().print(rich_table(reports, title))
            if stem is not None:
                facts = dict(config=args.config, checkpoint=args.checkpoint)
                paths = write_reports(reports, stem, title, Path(args.config).stem, **facts)
                print('written:', *paths)


if __name__ == '__main__':
    sys.exit(run_main(main))
