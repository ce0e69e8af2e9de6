"""Two processes train the model of ``output_space``: equal weights, and gradients that are the mean of single runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from output_space import batch, build, losses_of
from torch import Tensor
from two_ranks import run_two_ranks


def _two_steps(rank: int, folder: str, changes: dict[str, Any], optim: Any) -> None:
    """One of two processes: its own batch, gradients of the first step, weights after two."""
    torch.set_num_threads(1)
    init = f'file://{folder}/rendezvous'
    dist.init_process_group('gloo', init_method=init, rank=rank, world_size=2)
    # no dropout, no batch statistics: gradients are those of the data alone
    model = build(**changes).eval()
    wrapped = MMDistributedDataParallel(model)
    wrapper = build_optim_wrapper(wrapped, optim)
    gradients: list[Tensor] = []
    for _ in range(2):
        data = wrapped.module.data_preprocessor(batch(rank + 1), True)
        losses, _ = wrapped.module.parse_losses(wrapped(**data, mode='loss'))
        wrapper.zero_grad()
        losses.backward()
        gradients = gradients or [p.grad.clone() for p in model.parameters()]
        wrapper.step()
    torch.save([gradients, model.state_dict()], f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def train_two_ranks(folder: Path, changes: dict[str, Any], optim: Any) -> None:
    """Train two steps in two processes and compare.

    Args:
        folder: Where the processes meet and write.
        changes: Settings of the model, see ``output_space.build``.
        optim: Config of the optimizers.
    """
    run_two_ranks(_two_steps, str(folder), changes, optim)
    found = [torch.load(folder / f'{rank}.pt', weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(value, found[1][1][name]) for name, value in found[0][1].items())
    model = build(**changes).eval()
    single = []
    for rank in (0, 1):
        model.zero_grad()
        model.parse_losses(losses_of(model, batch(rank + 1)))[0].backward()
        single.append([p.grad.clone() for p in model.parameters()])
    for a, b, mean in zip(*single, found[0][0], strict=True):
        torch.testing.assert_close((a + b) / 2, mean, rtol=1e-4, atol=1e-7)
