from __future__ import annotations

from typing import Any

import torch
from mmengine.optim import ExponentialLR, PolyLR

from mmseg_ccdistill.runtime.schedule_replay import replay_schedules


def test_schedules_by_epoch_are_replayed_in_order() -> None:
    """Steps of an epoch come after those of its last iteration, as in training."""

    def fresh() -> tuple[torch.optim.Optimizer, list[Any]]:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        poly = PolyLR(optimizer, end=20, by_epoch=False)
        return optimizer, [poly, ExponentialLR(optimizer, gamma=0.5, by_epoch=True)]

    optimizer, schedulers = fresh()
    for iteration in range(1, 11):
        optimizer.step()
        schedulers[0].step()
        if iteration % 4 == 0:
            schedulers[1].step()
    untouched, others = fresh()
    replay = replay_schedules(others, untouched.param_groups, 10, 2, 4)
    assert replay.groups[0]['lr'] == optimizer.param_groups[0]['lr']
    assert [s['last_step'] for s in replay.states] == [10, 2]
    assert untouched.param_groups[0]['lr'] == 1.0 and others[0].last_step == 0
