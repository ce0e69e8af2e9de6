"""Measure one trained row: IoU on its sets, correlations, curves; `python -m benchmarks.adaptation.measure`.

Writes one JSON file with numbers, and beside it `scenes.npz` with a few predictions for the report's pictures.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmseg.registry import MODELS

from benchmarks.adaptation.row_costs import row_cost
from benchmarks.checkpoint_scores import evaluate
from benchmarks.repository import ROOT
from benchmarks.stages import Stage
from benchmarks.step_cost import GIB
from mmseg_ccdistill.engine.inference import load_segmentor
from mmseg_ccdistill.engine.start_up_checks import check_checkpoint_content
from mmseg_ccdistill.engine.training_draws import training_dataset, training_draws
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.losses import correlation_maps
from mmseg_ccdistill.reports.training_log import history, last_tenth
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.command_line import load_config, run_main
from mmseg_ccdistill.runtime.override_syntax import add_override_argument, format_override

#: Name of the set on which M_d is measured by day: a diagnostic, not a result.
DAY = 'day (M_d)'

#: Edges of the histograms of Cor: cosines from -1 to 1.
COR_EDGES = np.linspace(-1, 1, 41)

#: Training batches that the histograms are taken from.
COR_BATCHES = 16

#: Images of which the predictions are kept, spread evenly over the set.
NUM_SCENES = 4

#: Points that a curve is thinned out to.
NUM_POINTS = 30


@dataclass(frozen=True, eq=False)
class Evaluation(Stage):
    """Measurement of the stage that it starts from, as a process of its own.

    Attributes:
        sets: Folders of ``val``; empty: the config's own test set.
        day_set: Folder of ``val`` on which M_d is measured; None: none.
        with_correlations: Whether to count Cor at the start and the end.
    """

    sets: tuple[str, ...] = ()
    day_set: str | None = None
    with_correlations: bool = False

    @classmethod
    def of(
        cls, stage: Stage, sets: tuple[str, ...], day_set: str | None, with_correlations: bool
    ) -> Evaluation:
        """The evaluation of a training.

        Args:
            stage: The training.
            sets: Folders of ``val``; empty: the config's own test set.
            day_set: Folder of ``val`` on which M_d is measured; None: none.
            with_correlations: Whether to count Cor at the start and the end.
        """
        return cls(
            f'{stage.name}/evaluation',
            stage.config,
            1,
            stage,
            stage.seed,
            stage.options,
            sets=sets,
            day_set=day_set,
            with_correlations=with_correlations,
        )

    def product(self, work_dir: Path) -> Path:
        """The JSON file."""
        return work_dir / self.name / 'evaluation.json'

    def finished(self, work_dir: Path) -> bool:
        """Whether the checkpoint that lies there has been measured."""
        assert self.start is not None
        return self.start.finished(work_dir) and super().finished(work_dir)

    def steps_done(self, work_dir: Path) -> int:
        """It has one step."""
        return int(self.product(work_dir).exists())

    def command(self, work_dir: Path) -> list[str]:
        """Command line that measures."""
        assert self.start is not None
        before = self.start.start if self.with_correlations else None
        options = {'randomness.seed': self.seed, **self.options}
        return [
            *(sys.executable, '-m', 'benchmarks.adaptation.measure', str(ROOT / self.config)),
            str(self.start.checkpoint(work_dir)),
            *('--iters', str(self.start.max_iters), '--out', str(self.product(work_dir))),
            *(['--sets', *self.sets] if self.sets else []),
            *(['--day-set', self.day_set] if self.day_set else []),
            *(['--correlations-since', str(before.checkpoint(work_dir))] if before else []),
            '--cfg-options',
            *(format_override(key, value) for key, value in options.items()),
        ]


def loader_of(config: Config, folder: str | None) -> dict[str, Any]:
    """The config's test dataloader on another folder of ``val``.

    Args:
        config: Config.
        folder: Folder of ``val``; None: the config's own test set.

    Returns:
        Config of the dataloader.
    """
    loader = config.test_dataloader.to_dict()
    if folder is not None:
        loader['dataset']['data_prefix'] = dict(
            img_path=f'rgb_anon/val/{folder}', seg_map_path=f'gt/val/{folder}'
        )
    return loader


def measure_set(
    config: str, checkpoint: Path, loader: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Scores of one checkpoint on one set.

    Args:
        config: Config file.
        checkpoint: Its checkpoint.
        loader: Config of the dataloader.
        options: Config overrides.

    Returns:
        Numbers for the report (percent; None for a class that occurs neither in labels nor in predictions), and what
        ``evaluate`` returned.

    Raises:
        UserInputError: If no pixel of the set is labelled.
    """
    tested = evaluate(config, checkpoint, loader, options)
    report = tested['report']
    if not any(report.label_pixels):
        raise UserInputError(
            f'no label of the {report.num_images} images, e.g. of {tested["images"][0]!r}, has a pixel of the '
            f'{len(report.iou)} classes, so there is no mIoU: expected trainIds; restore the labels'
        )
    scores = {
        'mIoU': tested['mIoU'],
        'mIoU_present': report.summary['mIoU_present'],
        'images': report.num_images,
        'IoU': [round(v, 2) if math.isfinite(v) else None for v in report.iou],
        'label_pixels': list(report.label_pixels),
        'largest_predicted': round(largest_share(tested['predictions']), 4),
    }
    return scores, tested


def largest_share(predictions: Sequence[np.ndarray]) -> float:
    """Share of the class that is predicted most often in all pixels.

    Args:
        predictions: Predicted classes, each ``(H, W)``.
    """
    counts = sum(np.bincount(image.ravel(), minlength=256) for image in predictions)
    return float(np.max(counts) / np.sum(counts))


def keep_scenes(path: Path, tested: Mapping[str, Any], count: int = NUM_SCENES) -> None:
    """Keep predictions of a few images, compressed.

    Args:
        path: File to write, ``.npz``.
        tested: What ``evaluate`` returned.
        count: Number of images.
    """
    total = len(tested['images'])
    chosen = sorted({round(i * (total - 1) / max(count - 1, 1)) for i in range(count)})
    arrays = {'images': np.array([tested['images'][i] for i in chosen])}
    for name in ('labels', 'predictions'):
        arrays.update({f'{name}{k}': tested[name][i] for k, i in enumerate(chosen)})
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def cor_histograms(config: Config, checkpoint: Path, seed: int) -> dict[str, list[int]]:
    """Histograms of the four Cor maps over the first training batches, in evaluation mode.

    A checkpoint without projection head leaves the head as the run of this seed starts with it.

    Args:
        config: Config of a CCDistill model with ``loss_cdc``.
        checkpoint: Its checkpoint, or the plain one that it starts from.
        seed: Seed of the run.

    Returns:
        Counts between ``COR_EDGES`` by map.
    """
    torch.manual_seed(seed)
    model = load_segmentor(config, str(checkpoint), ('day.', 'night.'))
    size = int(config.train_dataloader.batch_size)
    draws = training_draws(config, training_dataset(config), range(COR_BATCHES * size))
    samples = [sample for _, sample in draws]
    counts: dict[str, np.ndarray] = {}

    def count(_: Any, arguments: tuple) -> None:
        for name, cor in correlation_maps(arguments[0], model.loss_cdc.cor_pool).items():
            values = cor.float().cpu().numpy().clip(-1, 1)
            counts[name] = counts.get(name, 0) + np.histogram(values, COR_EDGES)[0]

    model.loss_cdc.register_forward_pre_hook(count)
    with torch.inference_mode():
        for first in range(0, len(samples), size):
            data = model.data_preprocessor(pseudo_collate(samples[first : first + size]), False)
            model.loss(data['inputs'], data['data_samples'])
    return {name: values.tolist() for name, values in counts.items()}


def thin_out(points: Sequence[tuple[int, float]], count: int = NUM_POINTS) -> list[list[float]]:
    """Means of consecutive points, at most ``count`` of them.

    Args:
        points: Iteration and value.
        count: Largest number of points.

    Returns:
        Pairs of iteration and value.
    """
    step = max(-(-len(points) // count), 1)
    groups = [points[i : i + step] for i in range(0, len(points), step)]
    return [[round(float(np.mean(g)), 4) for g in zip(*group, strict=True)] for group in groups]


def training_facts(run_dir: Path) -> dict[str, Any]:
    """Learning curve, loss terms and diagnostics of a training, from its log.

    Args:
        run_dir: Folder of the run.

    Returns:
        ``curve`` (iteration, mIoU), ``accuracy`` (iteration, share of right pixels in percent), ``losses`` (pairs by
        term), ``diagnostics`` (medians of the last tenth) and ``step_seconds`` (median time of an iteration; None if
        it was not logged).
    """
    rows = history(run_dir)
    logged = [row for row in rows if 'loss' in row]
    times = [row['time'] for row in logged if 'time' in row][1:]  # the first ones hold the start
    terms = sorted({key for row in logged for key in row if 'loss' in key})
    return {
        'curve': [[row['step'], round(row['mIoU'], 2)] for row in rows if 'mIoU' in row],
        'accuracy': [[row['step'], round(row['aAcc'], 2)] for row in rows if 'aAcc' in row],
        'step_seconds': round(float(np.median(times)), 4) if times else None,
        'losses': {
            term: thin_out([(row['step'], row[term]) for row in logged if term in row])
            for term in terms
        },
        'diagnostics': last_tenth(logged, ('cor.', 'pseudo.', 'grad_norm', 'night.mix', 'day.mix')),
    }


def counted_cost(config: str, options: Mapping[str, Any], iters: int) -> dict[str, float] | None:
    """TFLOP of an iteration and GiB of activations; None, and a line in the log, for a loss that reads values.

    Args:
        config: Config file.
        options: Config overrides.
        iters: Length of the training.
    """
    try:
        cost = row_cost(config, options, iters)
    except (NotImplementedError, RuntimeError) as error:
        print(f'The cost of {config} cannot be counted without values: {error}', flush=True)
        return None
    return {'tflop': cost.flops / 1e12, 'gib': cost.saved_bytes / GIB}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', type=Path, help='its checkpoint, in the folder of the run')
    parser.add_argument('--iters', type=int, required=True, help='length of the training')
    parser.add_argument('--out', type=Path, required=True, help='JSON file to write')
    parser.add_argument(
        '--sets', nargs='+', default=[], help="folders of val (default: the config's set)"
    )
    parser.add_argument('--day-set', help='folder of val on which M_d is measured')
    parser.add_argument(
        '--correlations-since', type=Path, help='checkpoint that the run started from'
    )
    add_override_argument(parser)
    args = parser.parse_args()
    options = dict(args.cfg_options or {})
    config = load_config(args.config, options)
    check_checkpoint_content(str(args.checkpoint), 'the argument CHECKPOINT')
    if args.correlations_since is not None:
        check_checkpoint_content(str(args.correlations_since), '--correlations-since')
    kind = MODELS.get(config.model.type)
    has_day = 'day' in getattr(kind, 'networks', ())

    own_name = config.test_evaluator.get('dataset_name', 'test')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    sets: dict[str, Any] = {}
    for folder in args.sets or [None]:
        scores, tested = measure_set(
            args.config, args.checkpoint, loader_of(config, folder), options
        )
        if not sets:
            keep_scenes(args.out.with_name('scenes.npz'), tested)
        sets[folder or own_name] = scores
    if args.day_set:
        by_day = {**options, **({'model.predict_with': 'day'} if has_day else {})}
        loader = loader_of(config, args.day_set)
        sets[DAY], _ = measure_set(args.config, args.checkpoint, loader, by_day)
    result: dict[str, Any] = {'sets': sets, **training_facts(args.checkpoint.parent)}
    result |= {'iters': args.iters, 'cost': counted_cost(args.config, options, args.iters)}
    if args.correlations_since is not None:
        seed = int(config.randomness.seed)
        result['correlations'] = {
            'edges': COR_EDGES.round(4).tolist(),
            'start': cor_histograms(config, args.correlations_since, seed),
            'end': cor_histograms(config, args.checkpoint, seed),
        }
    write_atomically(args.out, (json.dumps(result) + '\n').encode())


if __name__ == '__main__':
    sys.exit(run_main(main))
