"""Activation checkpointing: the same losses, gradients and statistics, and less that is kept."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from benchmarks.gpu.batches import make_batches
from benchmarks.gpu.settings import make_settings
from benchmarks.gpu.training import PAPER, load_config
from benchmarks.iteration_cost import build, count_iteration
from benchmarks.repository import ROOT
from benchmarks.step_cost import GIB, saved_for_backward
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.backbones import ReinVisionTransformer
from mmseg_ccdistill.models.recomputation import kept_statistics, recompute

NAMES = ('Bottleneck', 'ChainedResidualPooling')


def make_model(names: tuple[str, ...]) -> Any:
    config = load_config(PAPER, make_settings(tiny=True))
    config.model.recompute = names
    config.model.diagnostics_interval = 0
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    return model.train()


def two_steps(model: Any) -> tuple[list[float], int]:
    """Losses of two steps of SGD, and the bytes that the first kept for its backward pass."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    losses, kept = [], 0
    for batch in make_batches(64, 2):
        torch.manual_seed(len(losses))
        data = model.data_preprocessor(copy.deepcopy(batch), True)
        with saved_for_backward(model) as saved:
            total, _ = model.parse_losses(model(**data, mode='loss'))
            kept = kept or saved.most
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total))
    return losses, kept


def test_two_steps_are_bit_equal_and_keep_less() -> None:
    plain, saving = make_model(()), make_model(NAMES)
    start = copy.deepcopy(plain.state_dict())
    (losses, kept), (again, less) = two_steps(plain), two_steps(saving)
    assert losses == again
    assert less < 0.75 * kept
    states = plain.state_dict(), saving.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():  # weights, running statistics and their counts
        assert torch.equal(value, states[1][name]), name
    counts = [n for n in start if n.endswith('num_batches_tracked')]
    assert counts and all(int(states[1][n]) == 4 for n in counts)  # two domains, two steps


def test_random_numbers_of_a_part_are_drawn_once() -> None:
    def net() -> torch.nn.Module:
        torch.manual_seed(0)
        inner = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
        return torch.nn.ModuleDict({'part': inner}).train()

    inputs, found = torch.randn(8, 4), []
    for names in ((), ('Sequential',)):
        network = net()
        if names:
            assert recompute(network, names, 'model.night') == 1
        torch.manual_seed(1)
        out = network['part'](inputs.requires_grad_())
        (gradient,) = torch.autograd.grad(out.square().sum(), inputs)
        found.append((out.detach(), gradient, torch.rand(1)))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


def test_blocks_of_a_frozen_vit_are_recomputed_behind_the_first_adapter() -> None:
    """Two networks have the ViT, so it is chosen twice and wrapped once."""
    images, found = torch.randn(1, 3, 70, 70), []
    for names in ((), ('FusedEncoderLayer',)):
        torch.manual_seed(0)
        network = ReinVisionTransformer(12, 3, 3, 70, 14, num_tokens=5, rank=2).train()
        network.draw_weights()
        for _ in names * 2:
            assert recompute(network, names, 'model.night') == 3
        with saved_for_backward(network) as saved:
            (out,) = network(images)
        out.square().sum().backward()
        found.append((out.detach(), [p.grad for p in network.parameters()], saved.most))
    (plain, gradients, kept), (again, others, less) = found
    assert torch.equal(plain, again) and less < 0.5 * kept
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))


def test_a_part_that_is_called_with_names() -> None:
    class Block(torch.nn.Module):
        def forward(self, x: torch.Tensor, rope: torch.Tensor | None = None) -> torch.Tensor:
            return x if rope is None else (x * rope).sin()

    network = torch.nn.ModuleList([Block()]).train()
    recompute(network, ('Block',), 'model.night')
    x, rope = torch.randn(3, requires_grad=True), torch.randn(3)
    network[0](x, rope=rope).sum().backward()
    torch.testing.assert_close(x.grad, rope * (x * rope).cos())
    with torch.no_grad():
        assert torch.equal(network.eval()[0](x, rope=None), x)


def test_without_a_backward_pass_nothing_is_wrapped() -> None:
    plain, saving = make_model(()).eval(), make_model(NAMES).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(plain(images), saving(images))


def test_statistics_are_kept() -> None:
    layer = torch.nn.BatchNorm2d(2)
    before = copy.deepcopy(layer.state_dict())
    with kept_statistics(layer):
        layer(torch.randn(2, 2, 3, 3))
    assert layer.momentum == 0.1
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_a_class_that_is_not_there_is_named() -> None:
    with pytest.raises(
        UserInputError, match="recompute: model.day has no module of the class 'Bot'"
    ):
        make_model(('Bot',))


@pytest.mark.parametrize(
    'name, gib', [('refinenet_r101_cs2dz_11g', 4.897), ('refinenet_r101_cs2dz_8g', 1.85)]
)
def test_activations_of_the_configs_for_small_gpus(name: str, gib: float) -> None:
    """1.80 and 4.85 GiB of the networks, 0.05 of losses and head."""
    if torch.__version__ < '2.3':
        pytest.skip('torch 2.1 cannot recompute on the meta device')
    config = Config.fromfile(str(ROOT / f'configs/ccdistill/{name}.py'))
    assert config.optim_wrapper.type == 'AmpOptimWrapper' and config.optim_wrapper.optimizer.lr
    cost = count_iteration(build(config), torch.bfloat16)
    assert cost.saved_bytes / GIB == pytest.approx(gib, abs=0.02)
