"""Settings of self-training, and what its tests ask of the small model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SELF = dict(type='SelfTraining', lag=3, start=0, ramp=0)
ALONE = dict(loss_cdc=None, loss_cds=None, projection_head=None)
#: Four passes: of each learner a mixed and a masked one.
PASSES = dict(SELF, learners=('night', 'day'), masked_ratio=0.5, augment=True)


def with_draws(batch: dict[str, Any], seed: int = 5) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    for domain in ('target_day', 'target_night'):
        for sample in batch['data_samples'][domain]:
            sample.set_field(torch.rand(19, generator=generator), 'mix_classes')
            sample.set_field(torch.tensor([1.1, 0.9, 1.2, 0.1, 0.5]), 'mix_look')
            sample.set_field(torch.rand(4, 4, generator=generator), 'mix_patches')
    return batch


def losses_of(model: nn.Module, batch: dict[str, Any]) -> dict[str, Tensor]:
    data = model.data_preprocessor(batch, True)
    torch.manual_seed(3)
    return model(**data, mode='loss')


def opinions_of(own: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    return {side: own.opinion(side, inputs) for side in own.taught_by}


def shaken(model: nn.Module) -> nn.Module:
    """Sharper heads, different for day and night, so that classes vary."""
    with torch.no_grad():
        for seed, branch in enumerate((model.day, model.night)):
            torch.manual_seed(seed)
            weight = branch.decode_head.conv_seg.weight
            weight.copy_(torch.randn_like(weight) * 5)
    return model


def upsampled(branch: nn.Module, images: Tensor) -> Tensor:
    return F.interpolate(
        branch.decode_head(branch.backbone(images)),
        images.shape[2:],
        mode='bilinear',
        align_corners=True,
    )


def with_graph(
    losses: Callable[[list[Tensor]], dict[str, Tensor]], maps: list[Tensor], weights: Any
) -> dict[str, Tensor]:
    """In the place of ``early_backward``."""
    return losses(maps)
