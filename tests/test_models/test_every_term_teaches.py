"""Every loss that a step logs has a gradient: a term of what went backward before would be logged and teach nothing."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from benchmarks.adaptation.rows import ROWS
from benchmarks.adaptation.suites import CONFIGS, SUITES
from benchmarks.gpu.config_batches import make_config_batches
from benchmarks.gpu.settings import make_settings

NETWORKS = SUITES['mini'].configs
STEPS = {
    **{name: (path, {}) for name, path in NETWORKS.items()},
    'early decoders': (NETWORKS['full'], {'model.early_decoder_backward': True}),
    'masked': (NETWORKS['plus'], {'model.self_training.masked_ratio': 0.7}),
    'handed over': (NETWORKS['plus'], ROWS['plus_handover'].options),
}


@pytest.mark.parametrize('name', STEPS)
def test_every_term_teaches(name: str) -> None:
    path, options = STEPS[name]
    init_default_scope('mmseg')
    config = Config.fromfile(str(CONFIGS / path))
    config.merge_from_dict(dict(options))
    torch.manual_seed(0)
    model = MODELS.build(config.model).train()
    if hasattr(model, 'set_iteration'):
        model.set_iteration(50, 100)  # self-training is on
    (batch,) = make_config_batches(config, make_settings(tiny=True), 1)
    data = model.data_preprocessor(batch, True)
    losses = model(data['inputs'], data['data_samples'], mode='loss')
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    terms = {
        f'{key} {number}': term
        for key, value in losses.items()
        if 'loss' in key
        for number, term in enumerate(value if isinstance(value, list) else [value])
    }
    handed_over = [key for key, term in terms.items() if not term.requires_grad and term == 0]
    assert handed_over == (['target_night.loss_pseudo 0'] if name == 'handed over' else [])
    for key in terms.keys() - set(handed_over):
        grads = torch.autograd.grad(terms[key], weights, retain_graph=True, allow_unused=True)
        assert any(grad is not None and grad.any() for grad in grads), key
