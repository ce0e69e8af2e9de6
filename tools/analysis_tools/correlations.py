"""Draw the four correlation maps of Fig. 1 between the images that they compare.

    python tools/analysis_tools/correlations.py CONFIG CHECKPOINT --draws 0 1 --out FILE.png

The maps are those of the loss, in evaluation mode (no dropout, running batch statistics). Embeddings
may be standardised over a batch, so each draw is computed within its training batch on one process.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from torch import nn

from mmseg_ccdistill.datasets.file_scan import progress_bar
from mmseg_ccdistill.domains import DOMAINS, DomainTensors
from mmseg_ccdistill.engine.domain_check import check_domains
from mmseg_ccdistill.engine.inference import (
    add_model_arguments,
    load_segmentor,
)
from mmseg_ccdistill.engine.training_draws import packed_image, training_dataset, training_draws
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.losses import CDCLoss, CDSLoss, correlation_maps, gram_cosine
from mmseg_ccdistill.models.segmentors import CCDistillSegmentor
from mmseg_ccdistill.runtime.command_line import (
    NAMED_BY_CHECKPOINT,
    check_counts,
    load_config,
    run_main,
    trust_pickle,
)
from mmseg_ccdistill.visualization.correlation_figure import DrawCorrelations, correlation_figure
from mmseg_ccdistill.visualization.panel import check_picture_path, write_image


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file of a CCDistill model')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', required=True, help='picture to write (.png or .jpg)')
    parser.add_argument('--draws', type=int, nargs='+', default=[0], help='draws (default: 0)')
    parser.add_argument('--tile-width', type=int, default=320, help='width of an image in pixels')
    parser.add_argument('--force', action='store_true', help='replace pictures that exist')
    add_model_arguments(parser)
    args = parser.parse_args(argv)
    check_counts(parser, args, 'tile_width')
    return args


def load_model(config: Config, checkpoint: str) -> CCDistillSegmentor:
    """The model, both branches and the projection head filled, with both losses that correlate.

    Without ``loss_cdc`` there is no projection head: embeddings are the features themselves,
    normalised, as in Table 3's row "w/o project head".

    Raises:
        UserInputError: If the config has no CCDistill model.
    """
    if 'segmentor' not in config.model:
        raise UserInputError(
            'correlations compare the two branches of a cross-domain model; '
            f'the config builds {config.model.type}: take one of configs/ccdistill'
        )
    model = load_segmentor(config, checkpoint, ('day.', 'night.', 'projection_head.'))
    if not isinstance(model, CCDistillSegmentor):
        raise UserInputError(f'{type(model).__name__} has no correlations: use CCDistillSegmentor')
    if model.loss_cdc is None:
        print('the config has no loss_cdc: the maps are those of the features, without a head')
        model.loss_cdc = CDCLoss()
    if model.loss_cds is None:
        model.loss_cds = CDSLoss()
    model.self_training = None  # it correlates nothing, and its teachers would move with each batch
    return model


def correlated_inputs(
    model: CCDistillSegmentor, batch: Mapping[str, Any]
) -> tuple[DomainTensors, DomainTensors]:
    """Features F_D and embeddings e_D that the two losses are given for a batch: by domain, ``(B, C, h, w)``."""
    seen: dict[str, DomainTensors] = {}

    def watch(name: str, loss: nn.Module | None) -> Any:
        assert loss is not None
        return loss.register_forward_pre_hook(
            lambda _, arguments: seen.__setitem__(name, dict(arguments[0]))
        )

    handles = [watch('features', model.loss_cds), watch('embeddings', model.loss_cdc)]
    try:
        with torch.inference_mode():
            data = model.data_preprocessor(batch, False)
            model.loss(data['inputs'], data['data_samples'])
    finally:
        for handle in handles:
            handle.remove()
    return seen['features'], seen['embeddings']


def correlations_of(
    model: CCDistillSegmentor, numbers: Sequence[int], samples: Sequence[Mapping[str, Any]]
) -> list[DrawCorrelations]:
    """Maps and numbers of one batch."""
    features, embeddings = correlated_inputs(model, pseudo_collate(list(samples)))
    assert model.loss_cdc is not None
    maps = correlation_maps(embeddings, model.loss_cdc.cor_pool)
    gram = {
        f'Cor_G_{world[0].upper()}': gram_cosine(
            features[f'{world}_day'], features[f'{world}_night']
        )
        for world in ('source', 'target')
    }
    return [
        DrawCorrelations(
            number,
            {domain: packed_image(sample['inputs'][domain]) for domain in DOMAINS},
            {name: value[i].cpu().numpy() for name, value in maps.items()},
            {name: float(value[i]) for name, value in gram.items()},
        )
        for i, (number, sample) in enumerate(zip(numbers, samples, strict=True))
    ]


def main() -> None:
    """Draw."""
    args = parse_args()
    trust_pickle(args.trust_pickle)
    check_picture_path(args.out, args.force)
    if min(args.draws) < 0:
        raise UserInputError(f'there is no draw {min(args.draws)}; draws are counted from 0')
    config = load_config(args.config, args.cfg_options, NAMED_BY_CHECKPOINT)
    dataset = training_dataset(config)
    model = load_model(config, args.checkpoint)
    if not hasattr(dataset, 'target'):
        raise UserInputError('the config trains on one domain: correlations need four')
    check_domains(model, dataset)
    size = int(config.train_dataloader.batch_size)
    firsts = sorted({number // size * size for number in args.draws})
    needed = [first + i for first in firsts for i in range(size)]
    samples = dict(training_draws(config, dataset, needed))
    found: dict[int, DrawCorrelations] = {}
    with progress_bar(len(firsts), 'Correlating') as advance:
        for first in firsts:
            numbers = range(first, first + size)
            for draw in correlations_of(model, numbers, [samples[n] for n in numbers]):
                found[draw.number] = draw
            advance()
    out = Path(args.out)
    figure = correlation_figure([found[number] for number in args.draws], args.tile_width)
    write_image(out, figure)
    for number in args.draws:
        values = ', '.join(f'{k} {v:.4f}' for k, v in found[number].numbers.items())
        means = ', '.join(f'{k} {m.mean():.3f}' for k, m in found[number].maps.items())
        print(f'draw {number}: mean {means}, {values}')
    print(out)


if __name__ == '__main__':
    sys.exit(run_main(main))
