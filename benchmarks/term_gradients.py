"""How strongly each loss term pulls at each network, and whether it pulls where the labels do.

``python -m benchmarks.term_gradients CONFIG CHECKPOINT`` takes batches of the config's own training data and
prints, per term and network (M_d, M_n, projection head), the norm of its gradient over that of the supervised
terms (L_seg, and L_pseudo for M_n), and the cosine between the two: above 0 they agree. Medians over the batches.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from mmseg_ccdistill.engine.inference import load_segmentor
from mmseg_ccdistill.runtime.command_line import load_config, run_main
from mmseg_ccdistill.runtime.override_syntax import add_override_argument

#: Terms that the others are compared with.
SUPERVISED = ('loss_seg', 'loss_pseudo')

Gradients = dict[str, dict[str, Tensor]]


def term_gradients(model: Any, batch: Any) -> Gradients:
    """The gradient of every loss term of one batch in every network that it reaches.

    Args:
        model: A ``CCDistillSegmentor`` in training mode.
        batch: What its data loader gives.

    Returns:
        Per network (``day``, ``night``, ``projection_head``) and term: a flat vector.
    """
    data = model.data_preprocessor(batch, training=True)
    terms = {
        key: value
        for key, value in model(**data, mode='loss').items()
        if 'loss' in key and value.requires_grad
    }
    networks = {
        name: [p for p in child.parameters() if p.requires_grad]
        for name, child in model.named_children()
        if any(p.requires_grad for p in child.parameters())
    }
    gradients: Gradients = {name: {} for name in networks}
    for term, value in terms.items():
        parameters = [p for group in networks.values() for p in group]
        flat = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        start = 0
        for name, group in networks.items():
            part = flat[start : start + len(group)]
            start += len(group)
            if any(g is not None for g in part):
                pieces = [
                    (torch.zeros_like(p) if g is None else g).flatten()
                    for p, g in zip(group, part, strict=True)
                ]
                gradients[name][term] = torch.cat(pieces)
    return gradients


def compare(gradients: dict[str, Tensor]) -> dict[str, tuple[float, float, float]]:
    """Compare the terms of one network with its supervised ones.

    Args:
        gradients: Per term: a flat vector.

    Returns:
        Per term: norm, norm over that of the sum of the supervised terms, and cosine with that sum; NaN without
        supervised terms, and where their gradient is zero.
    """
    supervised = [vector for term, vector in gradients.items() if term.endswith(SUPERVISED)]
    reference = torch.stack(supervised).sum(0) if supervised else None
    result = {}
    for term, vector in gradients.items():
        norm = float(vector.norm())
        ratio = cosine = float('nan')
        if reference is not None and reference.any():
            ratio = norm / float(reference.norm())
            cosine = float(torch.cosine_similarity(vector, reference, dim=0))
        result[term] = (norm, ratio, cosine)
    return result


def median(values: Sequence[tuple[float, ...]]) -> list[float]:
    """Medians of each column over the batches in which it is a number; NaN where it never is.

    Args:
        values: One row for each batch.
    """
    columns = np.ma.masked_invalid(np.array(values))
    return np.ma.median(columns, axis=0).filled(np.nan).round(4).tolist()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--batches', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', action='store_true', help='print JSON instead of a table')
    add_override_argument(parser)
    args = parser.parse_args()
    config = load_config(args.config, args.cfg_options)
    init_default_scope('mmseg')
    torch.manual_seed(args.seed)
    parts = ('day.', 'night.') if 'segmentor' in config.model else None
    model = load_segmentor(config, args.checkpoint, parts).train()
    loader = Runner.build_dataloader(config.train_dataloader, seed=args.seed)
    batches = iter(loader)
    measured: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    console = Console(stderr=True)
    for _ in track(range(args.batches), 'batches', console=console):
        for network, gradients in term_gradients(model, next(batches)).items():
            for term, values in compare(gradients).items():
                measured[network, term].append(values)
    rows = {
        f'{network} {term}': median(values) for (network, term), values in sorted(measured.items())
    }
    if args.json:
        print(json.dumps(rows))
        return
    table = Table('network and term', 'norm', 'over supervised', 'cosine')
    for name, row in rows.items():
        table.add_row(name, *(f'{value:.3f}' for value in row))
    Console().print(table)


if __name__ == '__main__':
    sys.exit(run_main(main))
