"""What the methods that adapt the outputs have in common: levels, passes, checkpoints, mistakes."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmseg.registry import MODELS
from output_space import AUXILIARY_HEAD, MODEL, TWO_LEVELS, batch, build, losses_of
from torch import Tensor

from mmseg_ccdistill.models.segmentors import OutputSpaceSegmentor

PLAIN: dict[str, Any] = MODEL['segmentor']
MINENT = dict(type='MinEntSegmentor', discriminator=None)
METHODS = {
    'AdaptSegNet': {},
    'AdvEnt': dict(type='AdvEntSegmentor'),
    'MinEnt': MINENT,
}


@pytest.mark.parametrize('changes', METHODS.values(), ids=METHODS)
def test_two_passes_source_first_and_each_head_once(changes: dict[str, Any]) -> None:
    model = build(**{**TWO_LEVELS, **changes})
    images: list[Tensor] = []
    calls: list[str] = []
    model.night.backbone.register_forward_pre_hook(lambda module, args: images.append(args[0]))
    for name in ('decode_head', 'auxiliary_head'):
        head = getattr(model.night, name)
        head.register_forward_hook(lambda module, args, out, name=name: calls.append(name))
    data = model.data_preprocessor(batch(), True)
    model(**data, mode='loss')
    assert [torch.equal(x, data['inputs'][d]) for x, d in zip(images, data['inputs'], strict=True)]
    assert list(data['inputs']) == ['source_day', 'target_night']
    assert calls == ['decode_head', 'auxiliary_head'] * 2


@pytest.mark.parametrize('changes', METHODS.values(), ids=METHODS)
def test_every_trained_parameter_gets_a_gradient(changes: dict[str, Any]) -> None:
    model = build(**{**TWO_LEVELS, **changes})
    model.parse_losses(losses_of(model, batch()))[0].backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize('changes', METHODS.values(), ids=METHODS)
def test_bfloat16_autocast_changes_little_and_losses_are_float32(changes: dict[str, Any]) -> None:
    model = build(**{**TWO_LEVELS, **changes}).eval()
    exact = losses_of(model, batch())
    with torch.autocast('cpu', torch.bfloat16):
        found = losses_of(model, batch())
    for key in (key for key in exact if 'loss' in key):
        assert found[key].dtype == torch.float32
        torch.testing.assert_close(found[key], exact[key], rtol=0.05, atol=2e-3)


@pytest.mark.parametrize('changes', METHODS.values(), ids=METHODS)
def test_a_source_without_a_label_leaves_finite_gradients(changes: dict[str, Any]) -> None:
    model = build(**{**TWO_LEVELS, **changes})
    data = batch()
    for sample in data['data_samples']['source_day']:
        sample.gt_sem_seg.data.fill_(255)
    losses = losses_of(model, data)
    assert losses['source_day.loss_seg'] == losses['source_day.aux.loss_seg'] == 0
    model.parse_losses(losses)[0].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_an_auxiliary_head_without_a_weight_is_supervised_alone() -> None:
    model = build(**TWO_LEVELS | {'auxiliary_weight': None})
    losses = losses_of(model, batch())
    assert set(model.discriminators) == {'main'}
    assert {key for key in losses if 'aux' in key} == {'source_day.aux.loss_seg'}


def test_a_plain_checkpoint_without_the_auxiliary_head_says_what_it_lacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = build(**TWO_LEVELS)
    plain = MODELS.build(ConfigDict(copy.deepcopy(PLAIN)))
    first = model.night.auxiliary_head.conv_seg.weight.clone()
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        model.load_state_dict(plain.state_dict(), strict=False)
    finally:
        logger.removeHandler(caplog.handler)
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warnings == [
        'checkpoint: it has nothing of auxiliary_head of night, which keeps its first weights'
    ]
    assert torch.equal(model.night.auxiliary_head.conv_seg.weight, first)
    assert torch.equal(model.night.backbone.conv1.weight, plain.backbone.conv1.weight)


def test_prediction_does_not_use_the_second_level() -> None:
    model = build(**TWO_LEVELS).eval()
    image = torch.randn(1, 3, 64, 64)
    before = model(image)
    torch.nn.init.constant_(model.night.auxiliary_head.conv_seg.weight, 3.0)
    assert torch.equal(model(image), before)


@pytest.mark.parametrize('changes', METHODS.values(), ids=METHODS)
@pytest.mark.parametrize(
    ('wrong', 'sentence'),
    [
        (
            dict(auxiliary_weight=0.0),
            'auxiliary_weight must be positive, got 0.0: leave it out for a single level.',
        ),
        (
            dict(segmentor=PLAIN),
            'auxiliary_weight=0.0002 adapts the outputs of one auxiliary head, model.segmentor has none: give it one '
            'auxiliary_head, or leave auxiliary_weight out for a single level.',
        ),
        (
            dict(segmentor={**PLAIN, 'auxiliary_head': [AUXILIARY_HEAD, AUXILIARY_HEAD]}),
            'auxiliary_weight=0.0002 adapts the outputs of one auxiliary head, model.segmentor has 2: give it one '
            'auxiliary_head, or leave auxiliary_weight out for a single level.',
        ),
        (
            dict(segmentor={**PLAIN, 'auxiliary_head': {**AUXILIARY_HEAD, 'num_classes': 5}}),
            'model.segmentor.auxiliary_head has 5 classes, the decode head 19: set num_classes of both to the classes '
            'of the data.',
        ),
    ],
)
def test_mistakes_end_at_build(
    changes: dict[str, Any], wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError) as caught:
        build(**{**TWO_LEVELS, **changes, **wrong})
    assert str(caught.value).endswith(sentence)


def test_a_method_without_a_loss_of_its_own_says_so() -> None:
    init = ConfigDict(copy.deepcopy(PLAIN))
    build()
    model = OutputSpaceSegmentor(init, 1.0)
    outputs = model.output_levels(torch.zeros(1, 3, 64, 64))
    with pytest.raises(NotImplementedError) as caught:
        model.adaptation_losses(outputs, outputs)
    assert str(caught.value) == 'OutputSpaceSegmentor must define adaptation_losses().'
