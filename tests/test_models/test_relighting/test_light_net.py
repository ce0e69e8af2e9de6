from __future__ import annotations

import numpy as np
import pytest
import torch
from fill_by_key import fill
from golden_maps import normal
from torch import nn

from mmseg_ccdistill.models.relighting import LightNet
from mmseg_ccdistill.models.relighting.light_net import relight


def filled() -> nn.Module:
    return fill(LightNet())


def test_size_and_names_of_the_released_network() -> None:
    net = LightNet()
    assert sum(p.numel() for p in net.parameters()) == 4_299_395
    assert len(net.state_dict()) == 68
    heads = {key.split('.')[1] for key in net.state_dict()}
    assert heads == {'1', '2', '4', '5', '7', '8', '10', '11', '12', '13', '14', '16', '17', '20'}
    assert {
        'model.10.conv_block.1.weight',
        'model.12.conv_block.6.running_var',
        'model.20.bias',
    } <= set(net.state_dict())
    biased = [n for n, m in net.named_modules() if getattr(m, 'bias', None) is not None]
    assert [name for name in biased if not isinstance(net.get_submodule(name), nn.BatchNorm2d)] == [
        'model.20'
    ]


def test_golden_outputs() -> None:
    net, x = filled(), normal(1000, 1, 3, 64, 96)
    with torch.no_grad():
        y = net.eval()(x)
        assert y[0, :, 0, 0].tolist() == pytest.approx(
            [-0.127461021025, 0.0357796712125, -0.00810984565090], rel=1e-9
        )
        assert y[0, :, 32, 48].tolist() == pytest.approx(
            [-0.141636842146, 0.0998478984510, 0.0850289212810], rel=1e-9
        )
        assert (y.sum().item(), y.abs().sum().item()) == pytest.approx(
            (-568.669644057, 3057.06368841)
        )
        y = net.train()(x)
    assert y[0, :, 32, 48].tolist() == pytest.approx(
        [0.418954090182, 0.850895796404, 0.396132276298], rel=1e-9
    )
    assert (y.sum().item(), y.abs().sum().item()) == pytest.approx((2690.18093013, 9262.38379921))


def test_golden_running_statistics() -> None:
    net = filled().train()
    with torch.no_grad():
        y = net(normal(1001, 2, 3, 64, 96))
    assert (y.sum().item(), y.abs().sum().item()) == pytest.approx((5431.54064913, 18607.7370113))
    norm = net.model[2]
    assert norm.running_mean[:3].tolist() == pytest.approx(
        [-3.10568262e-4, -1.01063282e-3, -6.54046240e-4]
    )
    assert norm.running_var[:3].tolist() == pytest.approx([1.00554453, 0.998067359, 0.988222321])


@pytest.mark.parametrize(('height', 'width'), [(65, 97), (67, 98), (64, 96)])
def test_any_size_keeps_its_size(height: int, width: int) -> None:
    """Padding reflects at the far borders: the same as padding the image by hand."""
    net, x = filled().eval(), normal(7, 1, 3, height, width)
    with torch.no_grad():
        relit, change = relight(net, x)
        padded = np.pad(
            x.numpy(), ((0, 0), (0, 0), (0, -height % 4), (0, -width % 4)), mode='reflect'
        )
        expected = net.model(torch.from_numpy(padded))[:, :, :height, :width]
    torch.testing.assert_close(change, expected, rtol=0, atol=0)
    assert relit.shape == x.shape and torch.equal(relit, x + change)
