"""Test a segmentor: mIoU on the config's test set, predictions to files, pictures."""

import argparse
import sys

from mmengine.config import Config
from mmseg.registry import RUNNERS

from mmseg_ccdistill.engine.class_check import check_classes
from mmseg_ccdistill.engine.label_needs import adapt_to_unlabelled, evaluators_of
from mmseg_ccdistill.engine.prediction_folders import keep_folders
from mmseg_ccdistill.engine.shared_memory import check_shared_memory
from mmseg_ccdistill.engine.start_up_checks import check_checkpoint_content, check_data_roots
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import (
    NAMED_BY_CHECKPOINT,
    add_launch_arguments,
    load_config,
    run_main,
    trust_pickle,
)
from mmseg_ccdistill.runtime.config_errors import named_mistakes
from mmseg_ccdistill.runtime.processes import set_up_processes
from mmseg_ccdistill.runtime.ranks import process_of
from mmseg_ccdistill.runtime.work_dir import set_work_dir


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='folder for the predictions as label images')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='folder for the predictions painted on the images')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds each window is shown')
    parser.add_argument(
        '--tta', action='store_true', help="average over the config's scales and flips"
    )
    add_launch_arguments(parser)
    return parser.parse_args(argv)


def check_one_process(launcher: str, show: bool, show_dir: str | None) -> None:
    """Refuse to paint with several processes: the visualizer paints on the first alone, which has a part of the images.

    Raises:
        UserInputError: If pictures are asked for, and the launcher has started several processes.
    """
    count = process_of(launcher).world_size
    option = '--show-dir' if show_dir else '--show'
    if (show or show_dir) and count > 1:
        raise UserInputError(
            f'{option} paints the images of one process, but there are {count}: expected one; leave {option} out '
            '(--out DIR works with several), or test with one process: python tools/test.py CONFIG CHECKPOINT'
        )


def draw_predictions(config: Config, show: bool, show_dir: str | None, wait_time: float) -> None:
    """Switch the visualization hook on.

    Raises:
        UserInputError: If the config has no visualization hook.
    """
    hook = config.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise UserInputError(
            '--show and --show-dir need a visualization hook; add '
            "default_hooks=dict(visualization=dict(type='SegVisualizationHook')) to the config"
        )
    if hook.get('type') == 'SegVisualizationHook':
        hook['type'] = (
            'NumberedPicturesHook'  # upstream's leaves images out, and lets one replace another
        )
    hook['draw'] = True
    if show:
        hook['show'] = True
        hook['wait_time'] = wait_time
    if show_dir:
        config.visualizer['save_dir'] = show_dir


def keep_predictions(config: Config, folder: str) -> None:
    """Write every prediction, beside what the test metrics do."""
    writer = dict(type='PredictionFiles', output_dir=folder)
    config.test_evaluator = [*evaluators_of(config, 'test'), writer]


def augment_at_test_time(config: Config) -> None:
    """Wrap the model so that it averages the predictions of several scales and flips.

    Raises:
        UserInputError: If the config does not say how to augment.
    """
    missing = [key for key in ('tta_pipeline', 'tta_model') if config.get(key) is None]
    if missing:
        raise UserInputError(
            f'--tta needs {" and ".join(missing)} in the config: expected tta_pipeline as in '
            'configs/_base_/datasets/cityscapes.py and tta_model as in '
            'configs/_base_/default_runtime.py; add what is missing'
        )
    config.test_dataloader.dataset.pipeline = config.tta_pipeline
    config.tta_model.module = config.model
    config.model = config.tta_model


def main() -> None:
    """Test."""
    args = parse_args()
    trust_pickle(args.trust_pickle)
    check_one_process(args.launcher, args.show, args.show_dir)
    config = load_config(args.config, args.cfg_options, NAMED_BY_CHECKPOINT)
    set_work_dir(config, args.config, args.work_dir)
    check_data_roots(config, ['test_dataloader'])
    check_classes(config, ['test_dataloader'])
    check_checkpoint_content(args.checkpoint, 'the argument CHECKPOINT')
    config.load_from, config.resume = args.checkpoint, False
    if args.show or args.show_dir:
        draw_predictions(config, args.show, args.show_dir, args.wait_time)
    if args.out is not None:
        keep_predictions(config, args.out)
    if args.tta:
        augment_at_test_time(config)
    keep_folders(config, 'test')
    adapt_to_unlabelled(config, bool(args.show or args.show_dir))
    check_shared_memory(config, ['test_dataloader'])
    set_up_processes(config, args.launcher, args.local_rank)
    with named_mistakes(config):
        RUNNERS.build(config).test()


if __name__ == '__main__':
    sys.exit(run_main(main))
