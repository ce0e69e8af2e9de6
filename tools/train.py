"""Train a segmentor: a source-only stage or an adaptation, as the config says."""

import argparse
import sys

from mmseg.registry import RUNNERS

from mmseg_ccdistill.engine.class_check import check_classes
from mmseg_ccdistill.engine.dry_run import dry_run
from mmseg_ccdistill.engine.hooks import SafeStopHook
from mmseg_ccdistill.engine.label_needs import check_labels
from mmseg_ccdistill.engine.prediction_folders import keep_folders
from mmseg_ccdistill.engine.shared_memory import check_shared_memory
from mmseg_ccdistill.engine.start_up_checks import check_data_roots, check_initial_weights
from mmseg_ccdistill.runtime.command_line import (
    add_launch_arguments,
    load_config,
    run_main,
    trust_pickle,
)
from mmseg_ccdistill.runtime.compiled_parts import check_compile
from mmseg_ccdistill.runtime.config_errors import named_mistakes
from mmseg_ccdistill.runtime.learning_rate_scale import set_auto_scale_lr
from mmseg_ccdistill.runtime.mixed_precision import check_amp, enable_amp
from mmseg_ccdistill.runtime.processes import set_up_processes
from mmseg_ccdistill.runtime.ranks import process_of
from mmseg_ccdistill.runtime.resume import (
    keep_earlier_run,
    misplaced_checkpoint,
    resume_last_checkpoint,
)
from mmseg_ccdistill.runtime.work_dir import set_work_dir


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        action='store_true',
        help='continue from the newest whole checkpoint in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (GPU only)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='multiply the learning rate by processes x train_dataloader.batch_size / '
        'auto_scale_lr.base_batch_size',
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='go once through everything: three iterations, validation, a checkpoint, one more iteration resumed '
        'from it; print speed and memory, and leave nothing behind',
    )
    add_launch_arguments(parser)
    words = sys.argv[1:] if argv is None else argv
    mistake = misplaced_checkpoint(words)
    if mistake is not None:
        parser.error(mistake)
    args = parser.parse_args(words)
    if args.dry_run and (args.resume or args.launcher != 'none'):
        parser.error(
            '--dry-run starts from the config, in one process: leave --resume and --launcher out'
        )
    return args


def main() -> None:
    """Train."""
    args = parse_args()
    trust_pickle(args.trust_pickle)
    config = load_config(args.config, args.cfg_options)
    set_auto_scale_lr(config, args.auto_scale_lr)
    if not args.dry_run:
        set_work_dir(config, args.config, args.work_dir)
    if args.resume:
        resume_last_checkpoint(config, process_of(args.launcher))
    check_initial_weights(config)
    check_data_roots(config, ['train_dataloader', 'val_dataloader'])
    check_labels(config, ['train_dataloader', 'val_dataloader'])
    keep_folders(config, 'val')
    check_classes(config, ['train_dataloader', 'val_dataloader'])
    check_shared_memory(config, ['train_dataloader', 'val_dataloader'])
    if args.amp:
        enable_amp(config)
    check_amp(config)
    check_compile(config)
    if not args.dry_run:
        keep_earlier_run(config, process_of(args.launcher))
    set_up_processes(config, args.launcher, args.local_rank)
    try:
        if args.dry_run:
            print(dry_run(config).describe())
            return
        with named_mistakes(config):
            RUNNERS.build(config).train()
    finally:
        SafeStopHook.release()


if __name__ == '__main__':
    sys.exit(run_main(main))
