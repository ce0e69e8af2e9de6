"""Label images with a trained model, for a training on its pseudo labels: the nights of the config's training list.

    python tools/pseudo_label.py CONFIG CHECKPOINT --out DIR

DIR gets a grey PNG of train ids for each image and manifest.json. An interrupted run goes on where it stopped. With
--launcher several processes share the images. --refine takes the day image of each dark one as a guide. Train with
train_dataloader.dataset.target.night_label_dir=DIR.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmengine import dist

from mmseg_ccdistill.curriculum import alignment_sentence, count_alignments
from mmseg_ccdistill.engine.inference import (
    add_model_arguments,
    load_segmentor,
    unlabelled_pipeline,
)
from mmseg_ccdistill.engine.pseudo_labels import label_images
from mmseg_ccdistill.engine.pseudo_labels.day_guide import read_day_guide
from mmseg_ccdistill.engine.pseudo_labels.label_folder import LabelFolder
from mmseg_ccdistill.engine.pseudo_labels.label_settings import label_settings
from mmseg_ccdistill.engine.pseudo_labels.night_images import (
    check_images,
    named_images,
    training_nights,
)
from mmseg_ccdistill.engine.pseudo_labels.thresholds import threshold_rule
from mmseg_ccdistill.engine.start_up_checks import check_checkpoint_file
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import (
    NAMED_BY_CHECKPOINT,
    load_config,
    run_main,
    trust_pickle,
)
from mmseg_ccdistill.runtime.override_syntax import OverrideAction
from mmseg_ccdistill.runtime.processes import LAUNCHERS, set_up_processes


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
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, help='folder of the labels')
    parser.add_argument(
        '--images',
        help='folder, or text file with one image on a line (default: the nights of the '
        "config's training list)",
    )
    parser.add_argument(
        '--image-root',
        help='folder that the lines of --images are relative to (default: that of the list)',
    )
    parser.add_argument(
        '--threshold',
        nargs='+',
        default=['median'],
        metavar=('KIND', 'VALUE'),
        help='"median": for each class the median of its confidences over all images, at most --cap '
        '(default); "none"; or "fixed" and a value from 0 to 1',
    )
    parser.add_argument(
        '--quantile', type=float, default=0.5, help='place of the median, 0 to 1 (default: 0.5)'
    )
    parser.add_argument(
        '--cap', type=float, default=0.9, help='no median counts above it (default: 0.9)'
    )
    parser.add_argument(
        '--refine',
        nargs='+',
        action=OverrideAction,
        metavar='KEY=VALUE',
        help='guide the labels by the day image of each image: guide=CHECKPOINT of the unadapted network, '
        'pairs=LIST, align=filter, homography or geometry, depth_root=FOLDER, ... (docs/mgcda.md)',
    )
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='what started this process (default: none, a single process)',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    add_model_arguments(parser)
    return parser.parse_args(argv)


def main() -> None:
    """Label."""
    args = parse_args()
    trust_pickle(args.trust_pickle)
    rule = threshold_rule(args.threshold, args.quantile, args.cap)
    if args.image_root is not None and args.images is None:
        raise UserInputError('--image-root goes with --images: leave it out')
    config = load_config(args.config, args.cfg_options, NAMED_BY_CHECKPOINT)
    check_checkpoint_file(args.checkpoint, 'the argument CHECKPOINT')
    pipeline = unlabelled_pipeline(config)  # names what the config lacks
    images = named_images(args.images, args.image_root) if args.images else training_nights(config)
    settings = label_settings(config, args.checkpoint, list(images), rule)
    guide = None
    if args.refine:
        guide = read_day_guide(args.refine, images, len(settings['classes']))
        settings['refine'] = guide.facts()
    LabelFolder(args.out, list(images), settings)  # names what is there
    check_images(images)
    if guide is not None:
        days = guide.refinement.day_of.values()
        check_images({path: path for path in days})
    set_up_processes(config, args.launcher, args.local_rank)
    if args.launcher != 'none' and not dist.is_distributed():
        dist.init_dist(args.launcher, **config.get('env_cfg', {}).get('dist_cfg', {}))
    model = load_segmentor(config, args.checkpoint)
    if guide is not None:
        guide.prediction.load(config, pipeline)
    notes = None if guide is None else guide.refinement.hows
    workers = config.test_dataloader.get('num_workers', 0)
    manifest = label_images(
        model, pipeline, images, args.out, rule, settings, guide, notes, num_workers=workers
    )
    if manifest:
        pixels = manifest['pixels']
        share = 1 - pixels['ignored'] / sum(pixels.values())
        print(f'{args.out}: {len(images)} images, {share:.1%} of their pixels are labelled')
        if guide is not None:
            hows = {name: image['alignment'] for name, image in manifest['images'].items()}
            print(alignment_sentence(count_alignments(hows)))


if __name__ == '__main__':
    sys.exit(run_main(main))
