"""Channels last: every map of every network, the batch, and the state of an optimizer that is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from domain_batch import domain_batch
from mmengine.config import Config
from mode_run import make_runner
from torch import nn

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.engine.hooks import AtomicCheckpointHook
from mmseg_ccdistill.runtime.memory_layout import lay_out_like_weights, use_channels_last


def is_channels_last(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last)


def test_every_map_of_a_step_and_every_gradient() -> None:
    """No convolution, pooling or normalisation reads another layout, in either network."""
    runner, _ = make_runner(1, channels_last=True)
    model: Any = runner.model.train()
    data = model.data_preprocessor(domain_batch(), True)
    assert set(data['inputs']) == set(DOMAINS)
    assert all(map(is_channels_last, data['inputs'].values()))
    seen: dict[str, bool] = {}

    def look(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: torch.Tensor) -> None:
            seen[name] = is_channels_last(args[0]) and is_channels_last(output)

        return hook

    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)
    for name, module in model.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(look(name))
    model.parse_losses(model(**data, mode='loss'))[0].backward()
    assert {name.split('.')[0] for name in seen} == {'day', 'night', 'projection_head'}
    assert len(seen) > 100 and all(seen.values()), [n for n, same in seen.items() if not same]
    assert all(is_channels_last(p) for p in model.parameters() if p.dim() == 4)


def test_without_the_switch_nothing_is_laid_out() -> None:
    runner, _ = make_runner(1)
    data = runner.model.data_preprocessor(domain_batch(), True)
    assert all(images.is_contiguous() for images in data['inputs'].values())
    assert all(p.is_contiguous() for p in runner.model.parameters())


@pytest.mark.parametrize('inputs', [torch.zeros(2, 3, 4, 4), [torch.zeros(1, 3, 4, 4)], None])
def test_batches_of_other_models_go_through(inputs: Any) -> None:
    class Preprocessor(nn.Module):
        def forward(self, batch: dict[str, Any]) -> dict[str, Any]:
            return batch

    model = nn.Module()
    model.data_preprocessor = Preprocessor()
    use_channels_last(model)
    batch = model.data_preprocessor(dict(inputs=inputs, data_samples=7))
    assert batch['data_samples'] == 7
    tensors = [batch['inputs']] if torch.is_tensor(inputs) else batch['inputs'] or []
    assert all(map(is_channels_last, tensors))


def test_the_state_of_an_optimizer_follows_the_weights() -> None:
    """Momentum of a run in one layout, resumed in the other; values stay, and counts are left alone."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 5, 3)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.randn(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    saved = optimizer.state_dict()
    other = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)
    resumed = torch.optim.Adam(other.parameters())
    resumed.load_state_dict(saved)
    lay_out_like_weights(resumed)
    moments = resumed.state[other.weight]['exp_avg']
    assert is_channels_last(moments) and moments.stride() == other.weight.stride()
    assert torch.equal(moments, optimizer.state[layer.weight]['exp_avg'])
    assert resumed.state[other.weight]['step'] == 1


def test_a_run_resumes_in_the_other_layout() -> None:
    runner, _ = make_runner(1)
    runner.register_hook(AtomicCheckpointHook(by_epoch=False, interval=1))
    runner.train()
    again, _ = make_runner(2, channels_last=True)
    again._resume, again._load_from = True, str(Path(runner.work_dir) / 'iter_1.pth')
    again.train()
    optimizer: Any = again.optim_wrapper.optimizer
    buffers = [(w, state['momentum_buffer']) for w, state in optimizer.state.items()]
    assert buffers and all(w.stride() == buffer.stride() for w, buffer in buffers)


def test_the_config_for_24_gb_changes_the_layout_alone() -> None:
    """So it keeps the 8.8 GiB of activations that tests/test_cost.py counts for the paper's config."""
    folder = Path(__file__).resolve().parents[2] / 'configs/ccdistill'
    paper, ours = (
        Config.fromfile(str(folder / f'refinenet_r101_cs2dz{suffix}.py')).to_dict()
        for suffix in ('', '_24g')
    )
    assert ours.pop('channels_last') is True
    assert ours == paper
