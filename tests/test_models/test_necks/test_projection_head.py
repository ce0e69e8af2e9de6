from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmseg_ccdistill.models.necks import ProjectionHead
from mmseg_ccdistill.models.necks.projection_head import whiten


def small_head(**kwargs) -> ProjectionHead:
    torch.manual_seed(0)
    return ProjectionHead(**{'in_channels': 12, 'out_channels': 6, **kwargs})


def feature(batch: int = 2, channels: int = 12) -> Tensor:
    return torch.randn(batch, channels, 4, 5, generator=torch.Generator().manual_seed(1))


def test_size_at_the_papers_width() -> None:
    head = ProjectionHead()
    assert sum(p.numel() for p in head.parameters()) == 4_720_896
    assert sum(p.numel() for p in ProjectionHead(256).parameters()) == 131_584
    embedding = head(torch.randn(1, 2048, 2, 3))
    assert embedding.shape == (1, 256, 2, 3)


@pytest.mark.parametrize(
    'kwargs',
    [{}, dict(hidden_channels=3)]
    + [dict(embedding_norm=mode) for mode in ('center', 'standardize', 'whiten')],
)
def test_embeddings_are_unit_vectors(kwargs: dict) -> None:
    norms = torch.linalg.vector_norm(small_head(**kwargs)(100 * feature()), dim=1)
    torch.testing.assert_close(norms, torch.ones(2, 4, 5), rtol=0, atol=1e-6)


def test_is_convolution_relu_convolution_at_every_position() -> None:
    head, x = small_head(hidden_channels=9), feature()
    w1, w2 = head.conv1.weight.flatten(1), head.conv2.weight.flatten(1)
    hidden = (w1 @ x[1, :, 2, 3] + head.conv1.bias).clamp_min(0)
    expected = w2 @ hidden + head.conv2.bias
    torch.testing.assert_close(head(x)[1, :, 2, 3], expected / expected.norm())


def test_initial_weights() -> None:
    head = ProjectionHead(512, out_channels=64)
    head.init_weights()
    assert not head.conv1.bias.any() and not head.conv2.bias.any()
    for conv in (head.conv1, head.conv2):
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=2e-2)


def test_images_do_not_mix_without_a_norm() -> None:
    head, x = small_head(), feature()
    torch.testing.assert_close(head(x)[:1], head(x[:1]))


@pytest.mark.parametrize('mode', ['center', 'standardize'])
def test_normalised_before_the_unit_sphere(mode: str) -> None:
    head, x = small_head(embedding_norm=mode), feature()
    raw = head.conv2(F.relu(head.conv1(x)))
    expected = torch.empty_like(raw)
    for channel in range(6):
        values = raw[:, channel]
        scale = math.sqrt(values.var(unbiased=False).item() + 1e-5) if mode != 'center' else 1.0
        expected[:, channel] = (values - values.mean()) / scale
    torch.testing.assert_close(head(x), expected / expected.norm(dim=1, keepdim=True))
    torch.testing.assert_close(head.eval()(x), head.train()(x))


def centred_maps(channels: int = 4) -> Tensor:
    """Maps of correlated channels, two images of 8 x 9."""
    generator = torch.Generator().manual_seed(2)
    mixing = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    maps = torch.randn(2, channels, 8, 9, generator=generator, dtype=torch.float64)
    maps = torch.einsum('ij,bjhw->bihw', mixing, maps)
    return maps - maps.mean(dim=(0, 2, 3), keepdim=True)


def covariance(maps: Tensor) -> Tensor:
    return torch.cov(maps.transpose(0, 1).flatten(1), correction=0)


def test_whitened_channels_have_unit_variance_and_no_correlation() -> None:
    white = whiten(1e3 * centred_maps(), shrinkage=0)  # 1e-5 in the variance does not count
    torch.testing.assert_close(covariance(white), torch.eye(4).double(), rtol=0, atol=1e-9)


def test_whitening_by_numpy() -> None:
    """The inverse of the Cholesky factor of a covariance of which a tenth is its mean variance."""
    maps = centred_maps()
    found = np.cov(maps.transpose(0, 1).flatten(1).numpy(), bias=True)
    shrunk = 0.9 * found + (0.1 * np.trace(found) / 4 + 1e-5) * np.eye(4)
    expected = np.einsum('ij,bjhw->bihw', np.linalg.inv(np.linalg.cholesky(shrunk)), maps)
    np.testing.assert_allclose(whiten(maps, 0.1).numpy(), expected, rtol=1e-9)


def test_a_whitened_head_uses_all_directions() -> None:
    head, x = small_head(embedding_norm='whiten'), feature(8)
    raw = head.conv2(F.relu(head.conv1(x)))
    white = whiten(raw - raw.mean(dim=(0, 2, 3), keepdim=True), 0.01)
    torch.testing.assert_close(head(x), F.normalize(white, dim=1))
    spectra = [torch.linalg.eigvalsh(covariance(maps.detach())) for maps in (raw, white)]
    least = [float(spectrum[0] / spectrum[-1]) for spectrum in spectra]
    assert least[0] < 0.1 and least[1] > 4 * least[0]


def test_centring_removes_a_common_vector() -> None:
    """A large constant makes all embeddings one; centred, they tell positions apart."""
    plain, centred = small_head(), small_head(embedding_norm='center')
    for head in (plain, centred):
        nn.init.constant_(head.conv2.bias, 1e3)
    spread = [head(feature()).std(dim=(0, 2, 3)).mean().item() for head in (plain, centred)]
    assert spread[0] < 1e-3 < 0.1 < spread[1]


def test_norm_layer_after_the_first_convolution() -> None:
    head = small_head(norm_cfg=dict(type='BN'))
    seen: list[Tensor] = []
    head.norm.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    head(feature())
    assert isinstance(head.norm, nn.BatchNorm2d)
    torch.testing.assert_close(seen[0], head.conv1(feature()))


@pytest.mark.parametrize('mode', [None, 'center', 'standardize', 'whiten'])
def test_gradient(mode: str | None) -> None:
    head = small_head(in_channels=3, out_channels=4, embedding_norm=mode).double()
    x = feature(1, 3)[..., :2, :2].double().requires_grad_()
    assert torch.autograd.gradcheck(head, (x,))


@pytest.mark.parametrize('mode', [None, 'center', 'standardize', 'whiten'])
def test_dead_feature_has_a_finite_gradient(mode: str | None) -> None:
    head = small_head(embedding_norm=mode)
    nn.init.zeros_(head.conv2.bias), nn.init.zeros_(head.conv1.bias)
    x = torch.zeros(2, 12, 4, 5, requires_grad=True)
    embedding = head(x)
    embedding.sum().backward()
    assert not embedding.any()
    grads = [x.grad, *(p.grad for p in head.parameters())]
    assert all(g is not None and g.isfinite().all() and g.abs().max() < 1e9 for g in grads)


def test_mixed_precision_normalises_in_single(half_dtype: torch.dtype) -> None:
    head = small_head()
    with torch.autocast('cpu', dtype=half_dtype):
        embedding = head(feature())
        zero = head(torch.zeros(1, 12, 1, 1) * head.conv1.weight.sum())
    assert embedding.dtype == torch.float32 and zero.isfinite().all()
    norms = torch.linalg.vector_norm(embedding, dim=1)
    torch.testing.assert_close(norms, torch.ones(2, 4, 5), rtol=0, atol=1e-6)
    torch.testing.assert_close(embedding, head(feature()), rtol=0, atol=3e-2)


def test_channels_last_is_kept() -> None:
    head = small_head().to(memory_format=torch.channels_last)
    embedding = head(feature().to(memory_format=torch.channels_last))
    assert embedding.is_contiguous(memory_format=torch.channels_last)


def test_is_registered() -> None:
    head = MODELS.build(dict(type='ProjectionHead', in_channels=8, out_channels=4))
    assert isinstance(head, ProjectionHead) and head.in_channels == 8
    with pytest.raises(ValueError, match='embedding_norm'):
        ProjectionHead(8, embedding_norm='batch')
    with pytest.raises(ValueError, match='shrinkage'):
        ProjectionHead(8, shrinkage=1.5)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=['single', 'bfloat16'])
@pytest.mark.parametrize('mode', ['center', 'standardize', 'whiten'])
@pytest.mark.parametrize('noise', [0.0, 1e-7, 1e-6])
def test_rounding_noise_of_a_constant_feature_is_no_direction(
    mode: str, noise: float, dtype: torch.dtype
) -> None:
    """A wall of one texture: stretched to unit vectors, its rounding has gradients of up to 1e7."""
    head = ProjectionHead(256, embedding_norm=mode)
    torch.manual_seed(0)
    head.init_weights()
    generator = torch.Generator().manual_seed(0)
    constant = torch.randn(1, 256, 1, 1, generator=generator).relu()
    ripple = 1 + noise * torch.randn(2, 256, 8, 8, generator=generator)
    x = (constant * ripple).requires_grad_()
    with torch.autocast('cpu', dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        embedding = head(x)
    embedding.backward(torch.randn(embedding.shape, generator=generator))
    assert not embedding.any()
    grads = [x.grad, *(p.grad for p in head.parameters())]
    assert all(grad is not None and not grad.any() for grad in grads)


@pytest.mark.parametrize('mode', ['center', 'standardize', 'whiten'])
def test_a_faint_pattern_keeps_its_direction_and_a_bounded_gradient(mode: str) -> None:
    """A pattern of 1e-3 on a constant is a hundred times what single precision resolves."""
    head = ProjectionHead(256, embedding_norm=mode)
    torch.manual_seed(0)
    head.init_weights()
    generator = torch.Generator().manual_seed(0)
    constant = torch.randn(1, 256, 1, 1, generator=generator).relu()
    x = (constant * (1 + 1e-3 * torch.randn(2, 256, 8, 8, generator=generator))).requires_grad_()
    embedding = head(x)
    norms = torch.linalg.vector_norm(embedding, dim=1)
    torch.testing.assert_close(norms, torch.ones(2, 8, 8), rtol=0, atol=1e-6)
    embedding.backward(torch.randn(embedding.shape, generator=generator))
    assert x.grad is not None and 0 < x.grad.abs().max() < 1e4


def test_ordinary_values_are_not_touched_to_the_last_bit() -> None:
    head, x = small_head(embedding_norm='center'), feature()
    raw = head.conv2(F.relu(head.conv1(x)))
    expected = F.normalize(raw - raw.mean(dim=(0, 2, 3), keepdim=True), dim=1, eps=1e-6)
    assert torch.equal(head(x), expected)
