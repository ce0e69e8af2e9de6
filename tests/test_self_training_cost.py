"""What self-training adds to an iteration of matched distillation, counted on the meta device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from meta_device import meta_device
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from test_cost import CONFIG, FORWARD, FULL_DOMAIN, GIB

from benchmarks.iteration_cost import meta_samples
from benchmarks.step_cost import StepCost, count_step
from mmseg_ccdistill.domains import DOMAINS

#: Last convolution of the decoder (3 x 3, 256 to 19 channels, 128 x 128 outputs) on two images.
CLASSIFIER = 2 * 2 * 256 * 19 * 9 * 128 * 128
pytestmark = pytest.mark.slow


def count(changes: dict[str, Any] | None) -> StepCost:
    """An iteration of the plus config once self-training has begun; None: without it."""
    config = Config.fromfile(str(CONFIG.with_name('refinenet_r101_cs2dz_plus.py')))
    init_default_scope('mmseg')
    if changes is None:
        config.model.self_training = None
    else:
        config.model.self_training.update(changes)
    with meta_device():
        model = MODELS.build(config.model).to('meta').train()
    model.diagnostics_interval = 0
    model.set_iteration(40000, 50000)
    inputs = {domain: torch.empty(2, 3, 512, 512, device='meta') for domain in DOMAINS}
    samples = {domain: meta_samples(domain.startswith('source')) for domain in DOMAINS}
    for domain in ('target_day', 'target_night'):
        for sample in samples[domain]:
            shapes = dict(mix_classes=(19,), mix_look=(5,), mix_patches=(8, 8))
            for name, shape in shapes.items():
                sample.set_field(torch.empty(shape, device='meta'), name)
    cost = count_step(model, inputs, samples)
    assert all(p.grad is not None for p in model.parameters())
    return cost


@pytest.fixture(scope='module')
def without() -> StepCost:
    return count(None)


@pytest.mark.parametrize(
    ('changes', 'forwards', 'passes', 'tflop'),
    [
        ({}, 2, 1, 5.25),
        (dict(keep_pseudo=False), 2, 1, 5.24),
        (dict(keep_pseudo=False, fusion='night', parallax=None), 1, 1, 4.19),
        (dict(learners=('day',), keep_pseudo=False, fusion=None, parallax=None), 1, 1, 4.20),
        (dict(learners=('night', 'day'), keep_pseudo=False), 2, 2, 8.39),
        (dict(keep_pseudo=False, masked_ratio=0.7), 2, 2, 8.39),
    ],
    ids=['plus', 'handed over', 'own teacher', 'day', 'both', 'masked'],
)
def test_what_it_adds(
    without: StepCost, changes: dict, forwards: int, passes: int, tflop: float
) -> None:
    """Each teacher is a forward pass without a graph, each mixed or masked batch a full domain.

    The maps of one batch are kept at a time.

    After the hand-over L_pseudo is gone, and with it the classifiers on T_n (three products) and on T_d (one).
    """
    cost = count(changes)
    added = cost.flops - without.flops
    stays = changes.get('keep_pseudo', True) or changes.get('learners') == ('day',)
    handed_over = 0 if stays else 4 * CLASSIFIER
    assert added == forwards * 2 * FORWARD + passes * FULL_DOMAIN - handed_over
    assert added / 1e12 == pytest.approx(tflop, abs=0.005)
    kept = (cost.saved_bytes - without.saved_bytes) / GIB
    # Where L_pseudo stays, so do its maps.
    assert kept == pytest.approx(2.44 if handed_over else 2.51, abs=0.005), kept
