"""What an iteration costs, counted on the meta device: exact, the same everywhere.

A k x k convolution costs 2 * C_in * C_out * k^2 * H_out * W_out FLOP forward, and as much again for
each of its two gradients. GiB is 2^30 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.meta_device import meta_device
from mmseg_ccdistill.domains import DOMAINS

GIB = 2**30
#: Side of the crops of the paper's configs.
SIDE = 512


class Cost(NamedTuple):
    """What was counted.

    Attributes:
        flops: Floating-point operations of convolutions and matrix products, forward and backward.
        saved_bytes: Bytes that autograd keeps for the backward pass, parameters left out.
        feature_shapes: Shapes of F_D that L_CDS was given.
    """

    flops: int
    saved_bytes: int
    feature_shapes: frozenset[tuple[int, ...]] = frozenset()


@contextmanager
def saved_for_backward(model: nn.Module) -> Iterator[dict[int, torch.UntypedStorage]]:
    """Storages that autograd keeps, each once and without the parameters."""
    own = {p.untyped_storage()._cdata for p in model.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            storages[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield storages


def meta_samples(labelled: bool) -> list[SegDataSample]:
    """Two samples of :data:`SIDE`, with labels without values or without labels."""
    samples = [SegDataSample(), SegDataSample()]
    if labelled:
        for sample in samples:
            label = torch.empty(1, SIDE, SIDE, dtype=torch.uint8, device='meta')
            sample.gt_sem_seg = PixelData(data=label)
    return samples


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
    with FlopCounterMode(display=False) as counter, saved_for_backward(model) as saved:
        total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
        kept = sum(storage.nbytes() for storage in saved.values())
        total.backward()
    watch.remove()
    if any(p.grad is None for p in model.parameters()):
        raise RuntimeError('a parameter of the model got no gradient')
    model.zero_grad(set_to_none=True)
    return Cost(counter.get_total_flops(), kept, frozenset(seen))
