"""The model is told the iteration, also when it is wrapped, and other models are left alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.logging import MessageHub
from mmengine.model import MMDistributedDataParallel
from torch import nn

from mmseg_ccdistill.engine.hooks import DeferredInfoHook
from mmseg_ccdistill.models.segmentors import AdaptationSegmentor
from mmseg_ccdistill.models.segmentors.ema_teacher import EMATeacher


class Told(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, int]] = []

    def set_iteration(self, iteration: int, max_iters: int) -> None:
        self.heard.append((iteration, max_iters))


def before(model: nn.Module) -> None:
    hub = MessageHub.get_instance('told')
    wrapper = SimpleNamespace(get_lr=lambda: {'lr': [0.1]})
    runner: Any = SimpleNamespace(
        model=model, iter=7, max_iters=40, message_hub=hub, optim_wrapper=wrapper
    )
    DeferredInfoHook().before_train_iter(runner, 0)
    assert hub.get_info('iter') == 7


def test_a_model_is_told_where_the_run_is(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Told()
    before(model)
    wrapped = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapped)
    wrapped.module = model
    before(wrapped)
    before(nn.Identity())
    assert model.heard == [(7, 40)] * 2


def test_an_adaptation_hands_the_length_on_to_its_teachers() -> None:
    model = AdaptationSegmentor.__new__(AdaptationSegmentor)
    nn.Module.__init__(model)
    model.ema = EMATeacher(0.1)
    before(model)
    assert model.iteration == 7 and model.ema.alpha == pytest.approx(0.8)  # lag 4
