"""Decoders that go backward early: the gradients of the plain step, bit for bit, and fewer maps at a time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from domain_batch import domain_batch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from small_ccdistill import small_model, small_segmentor
from torch import Tensor, nn
from two_ranks import run_two_ranks

from benchmarks.iteration_cost import build, count_iteration
from benchmarks.repository import ROOT
from benchmarks.step_cost import GIB, saved_for_backward
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.early_backward import early_backward
from mmseg_ccdistill.models.segmentors import adaptation_segmentor, ccdistill_segmentor

AUXILIARY = dict(
    type='FCNHead',
    in_channels=32,
    in_index=2,
    channels=8,
    num_convs=1,
    num_classes=19,
    loss_decode=dict(type='WeightedCrossEntropyLoss', loss_weight=0.4),
)


def make_model(early: bool, auxiliary: bool = False, **changes: Any) -> Any:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    segmentor = small_segmentor()
    if auxiliary:
        segmentor['auxiliary_head'] = AUXILIARY
    model = MODELS.build(small_model(segmentor=segmentor, early_decoder_backward=early, **changes))
    model.init_weights()
    return model.train()


def two_steps(model: Any, accumulated: int = 1) -> tuple[list[Tensor], int]:
    """Everything that is logged in two steps of SGD, and the most bytes kept in the first."""
    wrapper = OptimWrapper(
        torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9), accumulative_counts=accumulated
    )
    logged: list[Tensor] = []
    most = 0
    for iteration in range(2 * accumulated):
        torch.manual_seed(iteration)
        data = model.data_preprocessor(domain_batch(seed=iteration), True)
        with saved_for_backward(model) as k:
            total, log = model.parse_losses(model(**data, mode='loss'))
            most = most or k.most
        wrapper.update_params(total)
        logged += [value.detach() for value in log.values()]
    return logged, most


@pytest.mark.parametrize(
    'options, changes',
    [
        ({}, {}),
        ({}, dict(auxiliary=True, teacher_mode='eval')),
        ({}, dict(distill_into='night', loss_cdc=None)),
        ({}, dict(recompute=('ChainedResidualPooling', 'BasicBlock'))),
        (dict(accumulated=2), {}),
    ],
    ids=['plain', 'auxiliary heads', 'into the night', 'recomputed', 'accumulated'],
)
def test_two_steps_are_bit_equal_and_keep_less(
    options: dict[str, Any], changes: dict[str, Any]
) -> None:
    plain, early = make_model(False, **changes), make_model(True, **changes)
    (logged, kept), (again, less) = two_steps(plain, **options), two_steps(early, **options)
    assert len(logged) == len(again) > 4 and all(map(torch.equal, logged, again))
    assert less < kept
    states = plain.state_dict(), early.state_dict()
    for name, value in states[0].items():  # weights and running statistics
        assert torch.equal(value, states[1][name]), name


def test_in_bfloat16_the_losses_are_equal_and_weights_of_two_domains_sum_in_float32() -> None:
    """Autocast shares its copy of a weight: plainly, M_n's gradients of S_n and T_n are added in bfloat16."""
    found = []
    for early in (False, True):
        model = make_model(early)
        torch.manual_seed(0)
        data = model.data_preprocessor(domain_batch(), True)
        with torch.autocast('cpu', torch.bfloat16):
            total, log = model.parse_losses(model(**data, mode='loss'))
        total.backward()
        found.append((list(log.values()), {name: p.grad for name, p in model.named_parameters()}))
    (values, plain), (again, early_ones) = found
    assert all(map(torch.equal, values, again))
    for name, gradient in plain.items():
        difference = (gradient - early_ones[name]).norm()
        if name.startswith('day.decode_head'):
            assert not difference, name
        assert difference <= 2**-7 * gradient.norm(), name  # bfloat16 has 8 bits


@pytest.mark.parametrize('early', [False, True], ids=['plain', 'early decoders'])
@pytest.mark.parametrize('blend', [None, (0.8, 0.2, 0.4)], ids=['day alone', 'blend'])
def test_losses_that_keep_their_gradients_alone_are_bit_equal(
    early: bool, blend: tuple[float, float, float] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L_seg and L_pseudo against the same losses with their graphs."""
    pseudo = dict(type='StaticLoss', blend=blend)
    logged, kept = two_steps(model := make_model(early, True, loss_pseudo=pseudo))
    for place in (adaptation_segmentor, ccdistill_segmentor):
        monkeypatch.setattr(place, 'early_backward', with_graph(place.early_backward))
    again, more = two_steps(whole := make_model(early, True, loss_pseudo=pseudo))
    assert len(logged) == len(again) > 4 and all(map(torch.equal, logged, again))
    assert kept < more
    states = model.state_dict(), whole.state_dict()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def with_graph(early_backward: Callable[..., dict[str, Tensor]]) -> Callable[..., Any]:
    """Losses without weights of their own as they are, with their graphs; those of a decoder early."""

    def losses_of(losses: Callable, maps: Sequence[Tensor], weights: Iterable[Tensor] = ()) -> Any:
        weights = list(weights)
        return early_backward(losses, maps, weights) if weights else losses(list(maps))

    return losses_of


def test_float16_maps_keep_their_graph() -> None:
    """A gradient of 1e-9 is zero in float16, unless it is scaled before it is computed."""
    logits = torch.ones(4, dtype=torch.float16, requires_grad=True)
    loss = early_backward(lambda m: dict(a=(1e-9 * m[0].float()).sum()), [logits])['a']
    (2**20 * loss).backward()
    assert logits.grad is not None and logits.grad.all()


def test_float16_without_maps_keeps_its_graph(half_dtype: torch.dtype) -> None:
    """There autocast tells: a whole pass is a function of its weights, which are float32."""
    weight, inputs = nn.Parameter(torch.ones(4, 4)), torch.ones(4, 4)
    with torch.autocast('cpu', half_dtype):
        loss = early_backward(
            lambda _: dict(a=(1e-9 * (inputs @ weight).float()).sum()), [], [weight]
        )['a']
    assert (type(loss.grad_fn).__name__ == 'SumBackward0') == (half_dtype is torch.float16)
    (2**20 * loss).backward()
    assert weight.grad is not None and weight.grad.all()


def test_a_second_backward_pass_gives_the_same_gradient() -> None:
    inner, outer, inputs = layers()
    maps = inner(inputs)
    loss = early_backward(lambda m: dict(a=outer(m[0]).square().sum()), [maps.requires_grad_()])
    first, second = (torch.autograd.grad(loss['a'], maps, retain_graph=True) for _ in range(2))
    assert torch.equal(first[0], second[0]) and first[0].any()


def layers() -> tuple[nn.Linear, nn.Linear, Tensor]:
    torch.manual_seed(0)
    inner, outer = nn.Linear(3, 4).double(), nn.Linear(4, 2).double()
    return inner, outer, torch.randn(5, 3, dtype=torch.float64)


def test_each_loss_has_its_own_scale_and_values_go_through() -> None:
    """3 a + 0.5 b, of which b does not read the first map; a count that has no graph."""
    found = []
    for early in (False, True):
        inner, outer, inputs = layers()
        maps = [inner(inputs), inner(2 * inputs), torch.ones(5, 4, dtype=torch.float64)]

        def losses(seen: list[Tensor], outer: nn.Linear = outer) -> dict[str, Tensor]:
            a = outer(seen[0] * seen[1] + seen[2]).square().sum()
            return dict(a=a, count=torch.tensor(7), b=outer(seen[1]).exp().sum())

        terms = early_backward(losses, maps, outer.parameters()) if early else losses(maps)
        assert not terms['count'].requires_grad and int(terms['count']) == 7
        total = 3 * terms['a'] + 0.5 * terms['b'] + maps[0].sum()
        total.backward()
        parameters = [*inner.parameters(), *outer.parameters()]
        found.append([total.detach(), *(p.grad for p in parameters)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)


def test_without_a_graph_the_losses_are_computed_as_they_are() -> None:
    inner, outer, inputs = layers()
    with torch.no_grad():
        terms = early_backward(
            lambda m: dict(a=outer(m[0]).sum()), [inner(inputs)], outer.parameters()
        )
    assert terms['a'] == outer(inner(inputs)).sum() and terms['a'].grad_fn is None


def test_frozen_weights_get_no_gradient() -> None:
    inner, outer, inputs = layers()
    outer.bias.requires_grad_(False)
    terms = early_backward(lambda m: dict(a=outer(m[0]).sum()), [inner(inputs)], outer.parameters())
    terms['a'].backward()
    assert outer.bias.grad is None and outer.weight.grad is not None


def _both_in_one_process(rank: int, folder: str) -> None:
    """Gradients of the plain and of the early step, each averaged over two processes."""
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2
    )
    gradients = []
    for early in (False, True):
        model = make_model(early)
        wrapped = MMDistributedDataParallel(copy.deepcopy(model))
        torch.manual_seed(rank)
        data = wrapped.module.data_preprocessor(domain_batch(seed=rank), True)
        total, _ = wrapped.module.parse_losses(wrapped(**data, mode='loss'))
        total.backward()
        gradients.append({name: p.grad for name, p in wrapped.module.named_parameters()})
    torch.save(gradients, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes(tmp_path: Path) -> None:
    run_two_ranks(_both_in_one_process, str(tmp_path))
    first, second = (torch.load(tmp_path / f'{r}.pt', weights_only=True) for r in (0, 1))
    assert first[0].keys() and all(g is not None for g in first[0].values())
    for name, plain in first[0].items():
        for other in (first[1], second[0], second[1]):
            assert torch.equal(plain, other[name]), name


def test_maps_of_the_decoder_that_others_read_are_refused() -> None:
    with pytest.raises(UserInputError, match="early_decoder_backward=True needs feature='backbone"):
        make_model(
            True, feature='decode_head', projection_head=dict(type='ProjectionHead', in_channels=8)
        )


@pytest.mark.parametrize(
    'dtype, plain, early', [(torch.float32, 8.670, 6.32), (torch.bfloat16, 4.897, 3.377)]
)
def test_activations_of_the_paper(dtype: torch.dtype, plain: float, early: float) -> None:
    """8 backbones of 0.618 GiB and one decoder of 2 x 0.615, beside losses and the gradients of maps."""
    config = Config.fromfile(str(ROOT / 'configs/ccdistill/refinenet_r101_cs2dz.py'))
    costs = []
    for switch in (False, True):
        config.model.early_decoder_backward = switch
        costs.append(count_iteration(build(config), dtype))
    assert costs[0].flops == costs[1].flops
    found = [cost.saved_bytes / GIB for cost in costs]
    assert found == pytest.approx([plain, early], abs=0.005)
