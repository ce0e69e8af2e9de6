"""Draw the predictions of any number of models side by side, as in Figs. 3 and 4 of the paper.

    python tools/analysis_tools/compare.py CONFIG:CHECKPOINT [CONFIG:CHECKPOINT ...] --out FILE.png

Columns: the image, its ground truth if there is one, and each model's prediction at the image's own
size. Images are those of the first config's test set, or files. Where there is ground truth, the
models' IoU over these images is printed, and apart from it the paper's own numbers, each with its set.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import init_default_scope
from rich.console import Console

from mmseg_ccdistill.datasets.file_check import check_dataset
from mmseg_ccdistill.engine.inference import add_model_arguments, load_segmentor
from mmseg_ccdistill.engine.label_prediction import predict_label_files
from mmseg_ccdistill.engine.labelled_scenes import (
    labelled_scene,
    name_and_size,
    read_image,
    test_set,
)
from mmseg_ccdistill.engine.pseudo_labels.label_settings import classes_of
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.evaluation import published_table, score_table
from mmseg_ccdistill.runtime.command_line import (
    NAMED_BY_CHECKPOINT,
    check_counts,
    load_config,
    run_main,
    trust_pickle,
)
from mmseg_ccdistill.visualization.panel import check_picture_path, write_image
from mmseg_ccdistill.visualization.scene_comparison import Scene, comparison_figure, measure

if TYPE_CHECKING:
    from mmseg.datasets import BaseSegDataset
#: Images of a test set that are compared if no number is given.
NUM = 4


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('models', nargs='+', metavar='CONFIG:CHECKPOINT', help='the models')
    parser.add_argument('--out', required=True, help='picture to write (.png or .jpg)')
    parser.add_argument('--names', nargs='+', help='title of each model (default: its work dir)')
    parser.add_argument('--num', type=int, help=f'images, evenly spread (default: {NUM})')
    parser.add_argument('--indices', type=int, nargs='+', help='images by their place instead')
    parser.add_argument('--images', nargs='+', help='image files instead of the test set')
    parser.add_argument('--miou', action='store_true', help="write each image's mIoU below it")
    parser.add_argument('--errors', action='store_true', help='add a column of wrong pixels')
    parser.add_argument(
        '--no-published', action='store_true', help="leave the paper's own numbers out"
    )
    parser.add_argument('--tile-width', type=int, default=320, help='width of an image in pixels')
    parser.add_argument('--force', action='store_true', help='replace pictures that exist')
    add_model_arguments(parser)
    args = parser.parse_args(argv)
    check_counts(parser, args, 'num', 'tile_width')
    return args


def read_models(
    pairs: Sequence[str], names: Sequence[str] | None, options: dict[str, Any] | None
) -> list[tuple[str, Config, str]]:
    """Title, config and checkpoint of each model.

    Args:
        pairs: ``CONFIG:CHECKPOINT`` each.
        names: Titles; None takes the folder of the checkpoint, and its file name where two
            checkpoints lie in one folder.
        options: Overrides for every config.

    Raises:
        UserInputError: If a pair has no colon, or the number of names differs.
    """
    if names is not None and len(names) != len(pairs):
        raise UserInputError(f'--names gives {len(names)} titles for {len(pairs)} models')
    models = []
    for pair in pairs:
        config, _, checkpoint = pair.partition(':')
        if not checkpoint:
            raise UserInputError(
                f'{pair!r} names no checkpoint: expected CONFIG:CHECKPOINT, for example '
                'configs/refinenet/refinenet_small_mini.py:work_dirs/source/iter_600.pth'
            )
        models.append((load_config(config, options, NAMED_BY_CHECKPOINT), checkpoint))
    if names is None:
        paths = [Path(checkpoint).resolve() for _, checkpoint in models]
        folders = [path.parent.name for path in paths]
        names = [
            folder if folders.count(folder) == 1 else f'{folder}/{path.stem}'
            for folder, path in zip(folders, paths, strict=True)
        ]
    return [(name, *model) for name, model in zip(names, models, strict=True)]


def scenes_of_test_set(
    dataset: BaseSegDataset, num: int, indices: Sequence[int] | None
) -> list[Scene]:
    """Scenes of a test set with their ground truth.

    Args:
        dataset: The test set.
        num: How many, evenly spread over the set.
        indices: Places in the set instead.

    Raises:
        UserInputError: If the set has no such place.
        DatasetCheckError: If an image or label of these is not what it must be.
    """
    count = len(dataset)
    if indices is None:
        indices = np.unique(np.linspace(0, count - 1, min(num, count)).round().astype(int)).tolist()
    outside = [index for index in indices if not 0 <= index < count]
    if outside:
        raise UserInputError(f'there is no image {outside[0]}: the test set has 0 to {count - 1}')
    check_dataset(dataset.get_subset(indices))
    return [labelled_scene(dataset, index) for index in indices]


def meta_of_test_set(config: Config) -> dict[str, Any]:
    """Classes and palette of the config's test set, without its files."""
    init_default_scope(config.get('default_scope', 'mmseg'))
    return classes_of(config)


def main() -> None:
    """Compare."""
    args = parse_args()
    trust_pickle(args.trust_pickle)
    for option in ('num', 'indices'):
        if args.images is not None and getattr(args, option) is not None:
            raise UserInputError(
                f'--{option} chooses images of the test set, and --images takes files in its place: leave one of the '
                'two out'
            )
    check_picture_path(args.out, args.force)
    models = read_models(args.models, args.names, args.cfg_options)
    dataset = None if args.images is not None else test_set(models[0][1])
    if dataset is None:
        scenes = [Scene(path, read_image(path)) for path in args.images]
        meta = meta_of_test_set(models[0][1])
    else:
        scenes, meta = scenes_of_test_set(dataset, args.num or NUM, args.indices), dataset.metainfo
    has_labels = all(scene.label is not None for scene in scenes)
    if (args.miou or args.errors) and not has_labels:
        raise UserInputError('--miou and --errors need ground truth: leave them out')
    predictions = []
    for name, config, checkpoint in models:
        model = load_segmentor(config, checkpoint)
        if model.num_classes != len(meta['classes']):
            raise UserInputError(
                f'{config.filename}:{checkpoint} has {model.num_classes} classes and the test set of the first config '
                f'{len(meta["classes"])}: expected equal numbers; compare models of one set of classes'
            )
        labels = predict_label_files(model, config, [scene.path for scene in scenes], name)
        maps = [label.cpu().numpy().astype(np.uint8) for label in labels]
        predictions.append((name, maps))
    write_image(
        args.out,
        comparison_figure(
            scenes,
            predictions,
            meta['classes'],
            meta['palette'],
            args.miou,
            args.errors,
            args.tile_width,
        ),
    )
    print(args.out)
    if dataset is not None and has_labels:
        name, size = name_and_size(models[0][1], dataset)
        reports = [
            measure(scenes, maps, meta['classes'], name, size, dataset.ignore_index)
            for _, maps in predictions
        ]
        console = Console()
        titles = [name for name, _ in predictions]
        print(f'\nMeasured on {reports[0].title}, IoU in percent:')
        console.print(score_table(reports, titles))
        if not args.no_published:
            console.print(published_table())


if __name__ == '__main__':
    sys.exit(run_main(main))
