"""A segmentor behind a relighting network: every way in relights once."""

from __future__ import annotations

import copy
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor

from mmseg_ccdistill.models.segmentors import RelitEncoderDecoder

NORM = dict(type='BN')
PLAIN: dict[str, Any] = dict(
    type='EncoderDecoder',
    backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=NORM),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, dropout_ratio=0,
        concat_input=False, num_classes=19, norm_cfg=NORM,
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)  # fmt: skip
SLIDE = dict(mode='slide', crop_size=(32, 32), stride=(16, 16))


def pair(**changes: Any) -> tuple[RelitEncoderDecoder, EncoderDecoder]:
    """A relit segmentor and the plain one inside it."""
    init_default_scope('mmseg')
    models: list[Any] = []
    light = dict(
        type='RelitEncoderDecoder', light_net=dict(type='LightNet', base_channels=4, num_blocks=1)
    )
    for own in (light, {}):
        torch.manual_seed(0)
        models.append(MODELS.build(ConfigDict(copy.deepcopy({**PLAIN, **changes, **own}))))
        models[-1].init_weights()
    return models[0].eval(), models[1].eval()


def images(height: int = 64, width: int = 96) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


METAS = [dict(ori_shape=(64, 96), img_shape=(64, 96), pad_shape=(64, 96))]


def test_the_relighting_network_leaves_no_trace_in_the_weights_of_the_rest() -> None:
    relit, plain = pair()
    state = relit.state_dict()
    assert all(torch.equal(state[key], value) for key, value in plain.state_dict().items())
    assert {k.split('.')[0] for k in set(state) - set(plain.state_dict())} == {'light_net'}


def test_every_way_in_sees_the_relit_image() -> None:
    relit, plain = pair()
    x = images()
    with torch.no_grad():
        light, change = relit.relight(x)
        assert torch.equal(light, x + change) and change.abs().mean() > 0.01
        assert torch.equal(relit.extract_feat(x)[-1], plain.extract_feat(light)[-1])
        assert torch.equal(relit(x), plain(light))
        assert torch.equal(relit.inference(x, METAS), plain.inference(light, METAS))


def test_windows_are_cut_from_an_image_that_was_relit_as_a_whole() -> None:
    relit, plain = pair(test_cfg=SLIDE)
    x = images()
    calls: list[Tensor] = []
    relit.light_net.register_forward_hook(lambda module, args, out: calls.append(out))
    with torch.no_grad():
        found = relit.inference(x, METAS)
        assert len(calls) == 1
        assert torch.equal(found, plain.inference(x + calls[0], METAS))
        relit.extract_feat(x)
    assert len(calls) == 2  # after the windows it relights again


def test_sides_that_four_does_not_divide() -> None:
    relit, _ = pair()
    with torch.no_grad():
        assert relit.relight(images(65, 97))[1].shape == (1, 3, 65, 97)
