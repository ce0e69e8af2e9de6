"""A run that waits for its data: the share, the next measure, and when the log warns."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub

from mmseg_ccdistill.engine.hooks import LoadingLimitHook
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime import data_wait
from mmseg_ccdistill.runtime.data_wait import next_measure, waiting_share

RUNTIME = Path(__file__).resolve().parents[2] / 'configs/_base_/default_runtime.py'


def hub_of(times: list[float], waits: list[float]) -> MessageHub:
    hub = MessageHub.get_instance(f'wait_{id(times)}')
    hub.log_scalars.clear()
    for time, wait in zip(times, waits, strict=True):
        hub.update_scalar('train/time', time)
        hub.update_scalar('train/data_time', wait)
    return hub


def test_the_share_of_the_last_iterations() -> None:
    hub = hub_of([9.0, 1.0, 1.0], [9.0, 0.2, 0.4])
    assert waiting_share(hub, 2) == pytest.approx(0.3)
    assert waiting_share(MessageHub.get_instance('wait_none'), 2) is None


@pytest.mark.parametrize(
    'workers, processes, step, measure',
    [
        (0, 1, 'LoadImageFromFile', 'set train_dataloader.num_workers=8'),
        (
            4,
            1,
            'LoadImageFromFile',
            'num_workers=8, one for each core that a process of the run has',
        ),
        (
            4,
            2,
            'LoadImageFromFile',
            'decode the images once, with tools/dataset_converters/cache.py',
        ),
        (8, 1, 'LoadImageFromFile', 'decode the images once'),
        (8, 1, 'LoadCachedImage', 'from a cache: make it with --format raw'),
    ],
)
def test_the_next_measure(
    workers: int, processes: int, step: str, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_wait, 'usable_cores', lambda: 8)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', str(processes))
    dataset = dict(dataset=dict(source=dict(pipeline=[dict(type=step)])))
    config = Config(dict(train_dataloader=dict(num_workers=workers, dataset=dataset)))
    assert measure in next_measure(config)


def run_of(hook: LoadingLimitHook, waits: list[float], caplog: Any, start: int = 0) -> list[str]:
    """What the log says in a run of steps of one second."""
    hub = hub_of([], [])
    loader = SimpleNamespace(num_workers=0, timeout=0)
    runner: Any = SimpleNamespace(
        iter=start,
        max_iters=start + len(waits),
        message_hub=hub,
        cfg=Config(dict(train_dataloader=dict(num_workers=0))),
        logger=logging.getLogger('wait'),
        train_loop=SimpleNamespace(dataloader=loader),
    )
    hook.before_train(runner)
    for wait in waits:
        hub.update_scalar('train/time', 1.0)
        hub.update_scalar('train/data_time', wait)
        hook.after_train_iter(runner, runner.iter)
        runner.iter += 1
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize('start, share', [(0, '55 %'), (1003, '90 %')])
def test_the_log_warns_once_after_the_first_interval(start: int, share: str, caplog: Any) -> None:
    hook = LoadingLimitHook(interval=5)
    said = run_of(hook, [0.9] * 7 + [0.31] * 20, caplog, start)
    assert len(said) == 1
    assert said[0].startswith(share)
    assert 'of the last 5 steps were waiting for data: set train_dataloader.num_workers=' in said[0]


def test_a_run_that_waits_little_or_only_at_its_start_says_nothing(caplog: Any) -> None:
    assert run_of(LoadingLimitHook(interval=5), [0.9] * 5 + [0.3] * 20, caplog) == []
    assert run_of(LoadingLimitHook(interval=5, wait_share=0.5), [0.45] * 20, caplog) == []


@pytest.mark.parametrize(
    'settings, sentence',
    [
        (dict(interval=0), 'interval must be positive, got 0'),
        (dict(wait_share=30), 'wait_share must be above 0 and at most 1, got 30'),
    ],
)
def test_bad_settings(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        LoadingLimitHook(**settings)


def test_the_times_are_kept_by_the_shipped_runtime() -> None:
    hooks = Config.fromfile(str(RUNTIME)).default_hooks
    assert hooks.timer.type == 'IterTimerHook' and hooks.loading_limit.type == 'LoadingLimitHook'
