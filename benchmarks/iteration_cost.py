"""What an iteration of a config of the paper's kind costs: two crops of each domain, counted on the meta device."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from benchmarks import step_cost
from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.runtime.meta_device import meta_device

#: Side of the crops of the paper's configs.
SIDE = 512


class Cost(NamedTuple):
    """What was counted.

    Attributes:
        flops: Floating-point operations of convolutions and matrix products, forward and backward.
        saved_bytes: Bytes that autograd keeps for the backward pass, parameters left out.
        feature_shapes: Shapes of F_D that L_CDS was given.
    """

    flops: float
    saved_bytes: int
    feature_shapes: frozenset[tuple[int, ...]] = frozenset()


def meta_samples(labelled: bool) -> list[SegDataSample]:
    """Two samples of :data:`SIDE`, with labels without values or without labels."""
    return step_cost.meta_samples(2, (SIDE, SIDE), labelled)


def build(config: Path | Config) -> Any:
    """The model of a config on the meta device, in training mode."""
    config = Config.fromfile(str(config)) if isinstance(config, Path) else config
    init_default_scope('mmseg')
    with meta_device():
        return MODELS.build(config.model).to('meta').train()


def count_iteration(model: Any, dtype: torch.dtype = torch.float32) -> Cost:
    """Forward and backward of two samples of each domain; a read of a value would raise: there are none.

    Args:
        model: What :func:`build` returned.
        dtype: Of weights and activations: ``torch.bfloat16`` keeps what automatic mixed precision keeps, whose
            copies of the weights are not counted. Defaults to ``torch.float32``.

    Returns:
        FLOP, bytes and the shapes of F_D.
    """
    model.to(dtype)
    inputs = {
        domain: torch.empty(2, 3, SIDE, SIDE, dtype=dtype, device='meta') for domain in DOMAINS
    }
    samples = {domain: meta_samples(domain.startswith('source')) for domain in DOMAINS}
    model.diagnostics_interval = 0
    seen: list[tuple[int, ...]] = []
    watch = model.loss_cds.register_forward_pre_hook(
        lambda module, args: seen.extend(tuple(f.shape) for f in args[0].values())
    )
    cost = step_cost.count_step(model, inputs, samples)
    watch.remove()
    if any(p.grad is None for p in model.parameters()):
        raise RuntimeError('a parameter of the model got no gradient')
    model.zero_grad(set_to_none=True)
    return Cost(*cost, frozenset(seen))
