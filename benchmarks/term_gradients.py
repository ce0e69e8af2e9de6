"""How strongly each loss term pulls at each network, and whether it pulls where the labels do.

``python -m benchmarks.term_gradients CONFIG CHECKPOINT`` takes batches of the config's own training data and
prints, per term and network (M_d, M_n, projection head), the norm of its gradient over that of the supervised
terms (L_seg, and L_pseudo for M_n), and the cosine between the two: above 0 they agree. Medians over the batches.

The last column is their product, ``<g, r> / |r|^2``: the part of the other gradient r that a term g goes along.

With ``--night-labels`` the terms of M_n are compared with the cross-entropy on the true labels of T_n instead, which
the worlds of mini night have. Labels measure here; no method reads them. A config with ``self_training`` stands at the
end of its run, where self-training has its full weight.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor
from torch.nn import functional as F

from benchmarks.adaptation.oracle_labels import LabelledPairs
from mmseg_ccdistill.engine.inference import load_segmentor
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import load_config, run_main
from mmseg_ccdistill.runtime.override_syntax import add_override_argument

#: Terms that the others are compared with.
SUPERVISED = ('loss_seg', 'loss_pseudo')
#: The cross-entropy on the true labels of T_n.
TRUTH = 'target_night.loss_true_labels'

Gradients = dict[str, dict[str, Tensor]]


def night_label_loss(model: Any, data: Mapping[str, Any]) -> Tensor:
    """Cross-entropy of M_n on T_n with its true labels.

    Args:
        model: A ``CCDistillSegmentor`` in training mode.
        data: A preprocessed batch, whose samples of T_n carry ``gt_sem_seg``.

    Returns:
        A scalar, the mean over the labelled pixels.
    """
    labels = model.ground_truth(data['data_samples']['target_night'])
    head = model.night.decode_head
    logits = head(model.night.extract_feat(data['inputs']['target_night']))
    logits = model.upsample(head, logits, labels.shape[1:])
    return F.cross_entropy(logits, labels, ignore_index=head.ignore_index)


def term_gradients(model: Any, batch: Any, has_night_labels: bool = False) -> Gradients:
    """The gradient of every loss term of one batch in every network that it reaches.

    Args:
        model: A ``CCDistillSegmentor`` in training mode.
        batch: What its data loader gives.
        has_night_labels: Whether T_n has labels; their term is :data:`TRUTH`.

    Returns:
        Per network (``day``, ``night``, ``projection_head``) and term: a flat vector.
    """
    data = model.data_preprocessor(batch, training=True)
    terms = {
        key: value
        for key, value in model(**data, mode='loss').items()
        if 'loss' in key and value.requires_grad
    }
    if has_night_labels:
        terms[TRUTH] = night_label_loss(model, data)
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


def compare(gradients: dict[str, Tensor]) -> dict[str, tuple[float, float, float, float]]:
    """Compare the terms of one network with its supervised ones, or with the true labels of T_n if they are there.

    Args:
        gradients: Per term: a flat vector.

    Returns:
        Per term: norm, norm over that of the sum of what it is compared with, cosine with that sum, and the product of
        these two; NaN without such terms, and where their gradient is zero.
    """
    wanted = (TRUTH,) if TRUTH in gradients else SUPERVISED
    supervised = [vector for term, vector in gradients.items() if term.endswith(wanted)]
    reference = torch.stack(supervised).sum(0) if supervised else None
    result = {}
    for term, vector in gradients.items():
        norm = float(vector.norm())
        ratio = cosine = float('nan')
        if reference is not None and reference.any():
            ratio = norm / float(reference.norm())
            cosine = float(torch.cosine_similarity(vector, reference, dim=0))
        result[term] = (norm, ratio, cosine, ratio * cosine)
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
    parser.add_argument(
        '--night-labels',
        action='store_true',
        help='compare the terms of M_n with the true labels of T_n; for mini night',
    )
    add_override_argument(parser)
    args = parser.parse_args()
    config = load_config(args.config, args.cfg_options)
    if args.night_labels:
        dataset = config.train_dataloader.dataset
        if 'segmentor' not in config.model or 'target' not in dataset:
            raise UserInputError(
                f'--night-labels: {args.config!r} trains no M_n on pairs: expected a config of CCDistill on mini '
                'night; pass one, or leave the option out'
            )
        dataset.target.type = LabelledPairs.__name__
    init_default_scope('mmseg')
    torch.manual_seed(args.seed)
    parts = ('day.', 'night.') if 'segmentor' in config.model else None
    model = load_segmentor(config, args.checkpoint, parts).train()
    if config.model.get('self_training'):
        length = config.train_cfg.max_iters
        model.set_iteration(length - 1, length)
    loader = Runner.build_dataloader(config.train_dataloader, seed=args.seed)
    batches = iter(loader)
    measured: dict[tuple[str, str], list[tuple[float, ...]]] = defaultdict(list)
    console = Console(stderr=True)
    for _ in track(range(args.batches), 'batches', console=console):
        for network, gradients in term_gradients(model, next(batches), args.night_labels).items():
            if args.night_labels and network != 'night':
                continue
            for term, values in compare(gradients).items():
                measured[network, term].append(values)
    rows = {
        f'{network} {term}': median(values) for (network, term), values in sorted(measured.items())
    }
    if args.json:
        print(json.dumps(rows))
        return
    compared = 'true labels' if args.night_labels else 'supervised'
    table = Table('network and term', 'norm', f'over {compared}', 'cosine', 'along')
    for name, row in rows.items():
        table.add_row(name, *(f'{value:.3f}' for value in row))
    Console().print(table)


if __name__ == '__main__':
    sys.exit(run_main(main))
