"""Predict a test set and pack the zip that its server expects, or check a zip that is there.

    python tools/submit.py CONFIG CHECKPOINT --set dz-test --out NAME.zip
    python tools/submit.py --validate NAME.zip --set dz-test

An interrupted run goes on where it stopped. Nothing is overwritten.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg_ccdistill.datasets.class_names import class_difference
from mmseg_ccdistill.datasets.file_scan import map_parallel
from mmseg_ccdistill.datasets.image_facts import (
    UnreadableFileError,
    read_facts,
    read_stamp,
    unreadable_sentence,
)
from mmseg_ccdistill.datasets.image_orientation import turned_size
from mmseg_ccdistill.engine.inference import (
    add_model_arguments,
    load_segmentor,
    predict_files,
    unlabelled_pipeline,
)
from mmseg_ccdistill.engine.start_up_checks import check_checkpoint_file
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation.submission import (
    SUBMISSION_SETS,
    SubmissionParts,
    SubmissionSet,
    list_images,
)
from mmseg_ccdistill.evaluation.submission_validator import submission_faults
from mmseg_ccdistill.label_ids import NUM_TRAIN_IDS
from mmseg_ccdistill.models.losses import CITYSCAPES_CLASSES
from mmseg_ccdistill.runtime.checkpoint_file import read_checkpoint
from mmseg_ccdistill.runtime.command_line import (
    NAMED_BY_CHECKPOINT,
    load_config,
    run_main,
    trust_pickle,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', nargs='?', help='config file')
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file')
    parser.add_argument('--set', required=True, choices=sorted(SUBMISSION_SETS), dest='target')
    parser.add_argument('--out', help='zip to write')
    parser.add_argument('--validate', metavar='ZIP', help='check this zip and predict nothing')
    parser.add_argument(
        '--data-root',
        help='root of the test set, the folder that holds rgb_anon (default: data_root of '
        "the config's test set; with --validate: file names are checked by their pattern only)",
    )
    parser.add_argument(
        '--confidence-threshold',
        type=float,
        default=0.0,
        help='reject pixels of less confidence, 0 to 1, in labelTrainIds_invalid (default: 0, none)',
    )
    add_model_arguments(parser)
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace) -> None:
    """Check that the arguments belong together.

    Raises:
        UserInputError: If one is missing, superfluous or out of range.
    """
    if args.validate is not None:
        if args.config is not None or args.out is not None:
            raise UserInputError('--validate checks a zip: leave CONFIG, CHECKPOINT and --out out')
        for name in ('confidence_threshold', 'cfg_options'):
            if getattr(args, name):
                raise UserInputError(
                    f'--{name.replace("_", "-")} is for predictions, and --validate makes none: leave it out'
                )
        return
    if args.config is None or args.checkpoint is None or args.out is None:
        raise UserInputError(
            'a submission needs CONFIG, CHECKPOINT and --out NAME.zip; '
            'to check a zip: --validate NAME.zip'
        )
    if not 0 <= args.confidence_threshold <= 1:
        raise UserInputError(
            f'--confidence-threshold is {args.confidence_threshold}: expected 0 to 1'
        )


def data_root_of(config: Config) -> str:
    """Root of the config's test set.

    Raises:
        UserInputError: If the config names none.
    """
    root = ((config.get('test_dataloader') or {}).get('dataset') or {}).get('data_root')
    if not root:
        raise UserInputError('the config has no test_dataloader.dataset.data_root: use --data-root')
    return str(root)


def check_sizes(images: Sequence[Path], target: SubmissionSet) -> None:
    """Check the size of every image, so that no prediction comes out at another size.

    Raises:
        UserInputError: If one is of another size, or no image.
    """

    def size(path: Path) -> tuple[int, int]:
        try:
            facts = read_facts(str(path), with_values=False)
        except UnreadableFileError as error:
            raise UserInputError(unreadable_sentence(str(path), str(error))) from error
        return turned_size((facts.width, facts.height), facts.orientation)

    for path, found in zip(images, map_parallel(size, images, 'Looking at images'), strict=True):
        if found != target.size:
            raise UserInputError(
                f'{str(path)!r} is {found[0]} x {found[1]} pixels: expected the images of '
                f'{target.title} as published, {target.size[0]} x {target.size[1]}'
            )


def fingerprint(args: argparse.Namespace, config: Config) -> dict[str, Any]:
    """What the predictions depend on."""
    settings = config.to_dict()
    relevant = [settings['model'], settings['test_dataloader']['dataset']['pipeline']]
    text = json.dumps(relevant, sort_keys=True, default=str)
    return {
        'set': args.target,
        'config': hashlib.sha256(text.encode()).hexdigest(),
        'checkpoint': [str(args.checkpoint), *(read_stamp(args.checkpoint) or ())],
        'confidence threshold': args.confidence_threshold,
    }


def report(path: Path, target: SubmissionSet, names: Sequence[str] | None) -> None:
    """Check a zip and print every fault.

    Raises:
        UserInputError: If there are faults.
    """
    faults = submission_faults(path, target, names)
    for fault in faults:
        print(fault)
    if faults:
        count = '1 fault' if len(faults) == 1 else f'{len(faults)} faults'
        raise UserInputError(
            f'{str(path)!r} is no sound submission to {target.title}: {count}, listed above'
        )


def check_names(checkpoint: str, target: SubmissionSet) -> None:
    """Check that a checkpoint that names its classes names those of Cityscapes, in their order.

    Raises:
        UserInputError: If it names others.
    """
    meta = read_checkpoint(checkpoint)['meta']
    named = meta.get('dataset_meta')
    names = named.get('classes') if isinstance(named, Mapping) else meta.get('CLASSES')  # mmseg 0.x
    if not isinstance(names, (list, tuple)):
        return
    owners = ('Cityscapes', 'the checkpoint')
    difference = class_difference([*CITYSCAPES_CLASSES], [*map(str, names)], owners)
    if difference:
        raise UserInputError(
            f'{checkpoint!r} was trained with other classes than the server of {target.title} expects: {difference}; '
            'take a model that was trained with those of Cityscapes'
        )


def predict(args: argparse.Namespace, target: SubmissionSet) -> None:
    """Predict the test set and pack the zip."""
    config = load_config(args.config, args.cfg_options, NAMED_BY_CHECKPOINT)
    check_checkpoint_file(args.checkpoint, 'the argument CHECKPOINT')
    unlabelled_pipeline(config)  # names what the config lacks
    images = list_images(args.data_root or data_root_of(config), target)
    check_sizes(images, target)
    parts = SubmissionParts(args.out, target, fingerprint(args, config))
    missing = parts.missing(images)
    if len(missing) < len(images):
        print(f'{len(images) - len(missing)} of {len(images)} images are there already')
    if missing:
        check_names(args.checkpoint, target)
        model = load_segmentor(config, args.checkpoint)
        if model.num_classes != NUM_TRAIN_IDS:
            raise UserInputError(
                f'the model of {args.config!r} has {model.num_classes} classes: the server of {target.title} expects '
                f'the {NUM_TRAIN_IDS} of Cityscapes; take a model that was trained with these'
            )
        samples = predict_files(model, config, missing, f'Predicting {target.title}')
        for path, sample in zip(missing, samples, strict=True):
            parts.write(path.name, sample.seg_logits.data, args.confidence_threshold)
    names = [image.name for image in images]
    packed = parts.pack(names)
    report(packed, target, names)
    parts.publish(packed)
    print(f'{args.out}: {len(images)} images of {target.title}, read back without a fault')


def main() -> None:
    """Submit or validate."""
    args = parse_args()
    trust_pickle(args.trust_pickle)
    check_arguments(args)
    target = SUBMISSION_SETS[args.target]
    if args.validate is None:
        predict(args, target)
        return
    names = None
    if args.data_root is not None:
        names = [image.name for image in list_images(args.data_root, target)]
    report(Path(args.validate), target, names)
    how = 'names by their pattern' if names is None else 'names by the images'
    print(f'{args.validate}: a sound submission to {target.title} ({how})')


if __name__ == '__main__':
    sys.exit(run_main(main))
