"""Draw what the network sees: the samples of a training run as panels.

    python tools/analysis_tools/browse_domains.py CONFIG --num 8 --out DIR [--checkpoint CHECKPOINT]

Columns: S_d, its labels (those of S_n too), S_n, T_d, T_n; with a checkpoint also the pseudo labels
of T_n, M_d's prediction on T_d without the classes that are not static, and M_n's prediction on T_n.
A source-only config gives images, labels and predictions.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_ccdistill.datasets.file_check import leaf_datasets
from mmseg_ccdistill.datasets.file_scan import progress_bar
from mmseg_ccdistill.engine.inference import (
    add_model_arguments,
    load_segmentor,
)
from mmseg_ccdistill.engine.training_draws import packed_image, training_dataset, training_draws
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.segmentors import AdaptationSegmentor
from mmseg_ccdistill.runtime.command_line import (
    check_counts,
    load_config,
    run_main,
    trust_pickle,
)
from mmseg_ccdistill.visualization.draw_rows import DrawRow, draw_panel
from mmseg_ccdistill.visualization.panel import check_picture_path, write_image

if TYPE_CHECKING:
    from mmseg.models.segmentors import BaseSegmentor


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('--out', required=True, help='folder for the panels')
    parser.add_argument('--num', type=int, default=4, help='number of draws (default: 4)')
    parser.add_argument('--start', type=int, default=0, help='first draw (default: 0)')
    parser.add_argument('--rows', type=int, default=4, help='draws in one panel (default: 4)')
    parser.add_argument('--tile-width', type=int, default=256, help='width of an image in pixels')
    parser.add_argument('--suffix', choices=('.png', '.jpg'), default='.png', help='of the files')
    parser.add_argument('--checkpoint', help='adds pseudo labels and predictions of this model')
    parser.add_argument('--force', action='store_true', help='replace pictures that exist')
    add_model_arguments(parser)
    args = parser.parse_args(argv)
    check_counts(parser, args, 'num', 'rows', 'tile_width')
    return args


def labels_of(sample: Any) -> np.ndarray:
    """Labels ``(H, W)`` of a packed sample."""
    return sample.gt_sem_seg.data[0].numpy()


def source_columns(sample: Mapping[str, Any], model: BaseSegmentor | None) -> dict[str, np.ndarray]:
    """Photographs ``(H, W, 3)`` and label maps ``(H, W)`` of a source-only sample by column title."""
    columns = {
        'image': packed_image(sample['inputs']),
        'labels': labels_of(sample['data_samples']),
    }
    if model is not None:
        batch = model.data_preprocessor(pseudo_collate([sample]), False)
        columns['prediction'] = class_map(branch_logits(model, batch['inputs']))
    return columns


def cross_domain_columns(
    sample: Mapping[str, Any], model: AdaptationSegmentor | None
) -> dict[str, np.ndarray]:
    """Photographs ``(H, W, 3)`` and label maps ``(H, W)`` of a cross-domain sample by column title."""
    images = {domain: packed_image(image) for domain, image in sample['inputs'].items()}
    titles = dict(source_day='S_d', source_night='S_n', target_day='T_d', target_night='T_n')
    columns = {}
    for domain, image in images.items():
        columns[titles[domain]] = image
        if domain.startswith('source') and 'labels of S' not in columns:
            columns['labels of S'] = labels_of(sample['data_samples'][domain])
    if model is None:
        return columns
    batch = model.data_preprocessor(pseudo_collate([sample]), False)['inputs']
    logits = {
        domain: branch_logits(model.branch_of(domain), batch[domain])
        for domain in ('target_day', 'target_night')
        if domain in batch and domain in model.routes
    }
    static_loss = getattr(model, 'loss_pseudo', None)
    if static_loss is not None and len(logits) == 2:
        labels = static_loss.pseudo_labels(logits.pop('target_day'), logits['target_night'])
        columns['pseudo labels'] = labels[0].cpu().numpy()
    for domain, value in logits.items():
        light = model.routes[domain][0]
        columns[f'M_{light} on {titles[domain]}'] = class_map(value)
    return columns


def branch_logits(branch: BaseSegmentor, images: Tensor) -> Tensor:
    """Logits ``(B, K, H, W)`` in evaluation mode at the size of the images."""
    size = tuple(images.shape[2:])
    return branch.encode_decode(images, [dict(img_shape=size, pad_shape=size)] * len(images))


def class_map(logits: Tensor) -> np.ndarray:
    """Most likely class ``(H, W)`` of the first image."""
    return logits[0].argmax(0).cpu().numpy()


def captions_of(sample: Mapping[str, Any], suffixes: Sequence[str]) -> dict[str, str]:
    """Name of each photograph by column title, without the ``suffixes`` that a data set shares; S_n is made of S_d."""

    def stem(path: str) -> str:
        name = Path(path).name
        for suffix in suffixes:
            name = name.removesuffix(suffix)
        return name

    samples = sample['data_samples']
    if not isinstance(samples, Mapping):
        return {'image': stem(samples.img_path)}
    titles = {'S_d': 'source_day', 'T_d': 'target_day', 'T_n': 'target_night'}
    return {
        title: stem(samples[domain].img_path)
        for title, domain in titles.items()
        if domain in samples
    }


def load_model(config: Config, checkpoint: str | None) -> BaseSegmentor | None:
    """The model of the pseudo labels and predictions, every network filled."""
    if checkpoint is None:
        return None
    networks = getattr(MODELS.get(config.model.type), 'networks', None)
    parts = None if networks is None else tuple(f'{name}.' for name in networks)
    return load_segmentor(config, checkpoint, parts)


def main() -> None:
    """Browse."""
    args = parse_args()
    trust_pickle(args.trust_pickle)
    config = load_config(args.config, args.cfg_options)
    out = Path(args.out)
    if out.is_file():
        raise UserInputError(f'--out {args.out!r} is a file: expected a folder')
    numbers = range(args.start, args.start + args.num)
    pages = pages_of(numbers, args.rows, out, args.suffix)
    for page in pages.values():
        check_picture_path(page, args.force)
    dataset = training_dataset(config)
    model = load_model(config, args.checkpoint)
    classes, palette = dataset.metainfo['classes'], dataset.metainfo['palette']
    suffixes = [getattr(leaf, 'img_suffix', '') for leaf in leaf_datasets(dataset)]
    rows: list[DrawRow] = []
    with progress_bar(args.num, 'Drawing') as advance, torch.inference_mode():
        for number, sample in training_draws(config, dataset, numbers):
            make = cross_domain_columns if isinstance(sample['inputs'], Mapping) else source_columns
            rows.append(DrawRow(number, make(sample, model), captions_of(sample, suffixes)))
            advance()
            if number in pages:
                write_image(pages[number], draw_panel(rows, classes, palette, args.tile_width))
                print(pages[number])
                rows = []


def pages_of(numbers: Sequence[int], rows: int, out: Path, suffix: str) -> dict[int, Path]:
    """The file of each panel, of ``rows`` draws, by the last draw in it."""
    pages = [numbers[i : i + rows] for i in range(0, len(numbers), rows)]
    return {page[-1]: out / f'draws_{page[0]:06d}-{page[-1]:06d}{suffix}' for page in pages}


if __name__ == '__main__':
    sys.exit(run_main(main))
