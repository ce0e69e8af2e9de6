from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mmseg_ccdistill.models.backbones.rein_adapters import ReinAdapters


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


@pytest.fixture
def adapters() -> ReinAdapters:
    module = ReinAdapters(3, 12, patch_size=14, num_tokens=10, rank=4).double()
    with torch.no_grad():
        module.tokens_a.copy_(0.3 * normal(30, 3, 10, 4))
        module.tokens_b.copy_(0.3 * normal(31, 3, 4, 12))
        module.token_to_feature.weight.copy_(normal(32, 12, 12) / 12**0.5)
        module.token_to_feature.bias.copy_(0.1 * normal(33, 12))
        module.to_delta.weight.copy_(normal(34, 12, 12) / 12**0.5)
        module.to_delta.bias.copy_(0.1 * normal(35, 12))
    return module


def test_numbers_of_the_published_layer(adapters: ReinAdapters) -> None:
    """Of the published formula in plain numpy.

    The sheet of constants has other sums, -10.421131723 and at s = 0.001 0.066509883, which no f + s delta can give:
    both together make the sum of x 0.077, and it is -12.339.
    """
    x = normal(36, 2, 13, 12)
    with torch.no_grad():
        adapters.scale.fill_(1.0)
        y = adapters(x, 1)
    assert y.sum().item() == pytest.approx(-36.385832745, abs=1e-8)
    assert y.abs().sum().item() == pytest.approx(363.500703975, abs=1e-8)
    assert y[0, 3, 5].item() == pytest.approx(0.012275035, abs=1e-8)
    with torch.no_grad():
        adapters.scale.fill_(0.001)
        y = adapters(x, 1)
    assert y.sum().item() == pytest.approx(-12.363483117, abs=1e-8)
    assert y.abs().sum().item() == pytest.approx(259.070891647, abs=1e-8)
    assert torch.equal(y[:, 0], x[:, 0])


def test_the_first_token_takes_a_share_and_adds_nothing(adapters: ReinAdapters) -> None:
    """A large first token takes everything: what is left is the patches' own way through the second layer."""
    x = normal(36, 2, 13, 12).abs()
    with torch.no_grad():
        adapters.scale.fill_(1.0)
        adapters.tokens_a.zero_()
        adapters.tokens_a[1, 0, 0] = 1e4
        adapters.tokens_b[1, 0] = 1.0
        y = adapters(x, 1)
    patches = x[:, 1:]
    assert torch.allclose(y[:, 1:], patches + adapters.to_delta(patches), atol=1e-12)


@pytest.mark.parametrize(
    ('layers', 'width', 'parameters'),
    [(24, 1024, 2_530_817), (12, 768, 1_347_841), (12, 384, 388_609)],
)
def test_parameters(layers: int, width: int, parameters: int) -> None:
    with torch.device('meta'):
        module = ReinAdapters(layers, width, patch_size=16)
    assert sum(p.numel() for p in module.parameters()) == parameters


def test_where_it_starts() -> None:
    torch.manual_seed(0)
    module = ReinAdapters(24, 1024, patch_size=16)
    assert module.scale.item() == pytest.approx(0.001)
    bound = (6 / (3 * 16 * 16 + (1024 * 16) ** 0.5)) ** 0.5
    for tokens in (module.tokens_a, module.tokens_b):
        assert bound * 0.999 < tokens.abs().max().item() <= bound
