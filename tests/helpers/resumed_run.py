"""Small runs that are resumed with other settings, and what they say and do."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner

from mmseg_ccdistill.datasets import Draw

HALF, WHOLE = 6, 12
STEPS = dict(type='MultiStepLR', by_epoch=False, gamma=0.5)
SGD: dict[str, Any] = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.01)
ADAM: dict[str, Any] = dict(type='AdamW', lr=0.1, betas=(0.9, 0.99), weight_decay=0.01)
RMSPROP: dict[str, Any] = dict(type='RMSprop', lr=0.1)


def poly(end: int, begin: int = 0, **more: Any) -> dict[str, Any]:
    return {**dict(type='PolyLR', power=0.9, begin=begin, end=end, by_epoch=False), **more}


def warm_up(end: int) -> dict[str, Any]:
    return dict(type='LinearLR', start_factor=0.1, begin=0, end=end, by_epoch=False)


class Line(BaseModel):
    """Two layers; their optimizers, if there are two, share the loss."""

    def __init__(self, width: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = torch.nn.Linear(2, 2)
        self.head = torch.nn.Linear(2, width)

    def forward(self, inputs: Any, data_samples: Any = None, mode: str = 'tensor') -> Any:
        out = self.head(self.backbone(torch.stack(list(inputs))))
        return {'loss': (out - 1).square().mean()}

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        if not isinstance(optim_wrapper, OptimWrapperDict):
            return super().train_step(data, optim_wrapper)
        loss = self(**self.data_preprocessor(data, True))['loss']
        optim_wrapper.zero_grad()
        loss.backward()
        for wrapper in optim_wrapper.values():
            wrapper.step()
        return {'loss': loss}


class Points(torch.utils.data.Dataset):
    metainfo: dict[str, Any] = {}

    def __len__(self) -> int:
        return 64

    def __getitem__(self, draw: Any) -> dict[str, Any]:
        index = draw.index if isinstance(draw, Draw) else int(draw)
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.randn(2, generator=generator))


class Diary(Hook):
    """Settings of every parameter group in every iteration, before the step."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.rows: dict[int, list[dict[str, Any]]] = {}

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        groups = runner.optim_wrapper.param_groups
        groups = (
            [g for some in groups.values() for g in some] if isinstance(groups, dict) else groups
        )
        self.rows[runner.iter] = [
            {k: v for k, v in group.items() if k in ('lr', 'momentum', 'betas', 'weight_decay')}
            for group in groups
        ]


class Run:
    """One run of ``iters`` iterations in a folder."""

    def __init__(
        self,
        folder: Path,
        iters: int,
        schedule: Any,
        optimizer: Any = SGD,
        resume: bool = False,
        batch_size: int = 4,
        model: BaseModel | None = None,
        checkpoint: dict[str, Any] | None = None,
        epochs: int = 0,
        **wrapper: Any,
    ) -> None:
        self.diary = Diary()
        wrapped = optimizer
        if isinstance(optimizer, dict):
            wrapped = dict(optimizer=dict(optimizer), **wrapper)
        default = dict(type='AtomicCheckpointHook', by_epoch=False, interval=HALF)
        self.runner = Runner(
            model=model or Line(),
            work_dir=str(folder),
            train_dataloader=dict(
                dataset=Points(),
                sampler=dict(type='DefaultSampler' if epochs else 'DrawSampler', seed=0),
                batch_size=batch_size,
                num_workers=0,
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=epochs)
            if epochs
            else dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=10**6),
            optim_wrapper=wrapped,
            param_scheduler=schedule,
            cfg=Config(dict(param_scheduler=schedule)),
            default_hooks=dict(checkpoint=checkpoint or default),
            custom_hooks=[dict(type='ExactResumeHook'), self.diary],
            log_processor=dict(by_epoch=False),
            default_scope='mmseg',
            experiment_name=f'resume_{time.time_ns()}',
            randomness=dict(seed=0),
            resume=resume,
        )
        self.runner.train()

    @property
    def rows(self) -> dict[int, list[dict[str, Any]]]:
        return self.diary.rows

    def rate(self, iteration: int) -> float:
        return self.rows[iteration][0]['lr']


def warnings(log: Any) -> list[str]:
    return [r.getMessage() for r in log.records if r.levelno == logging.WARNING]


def changes(log: Any) -> list[str]:
    """The changes that the one line names."""
    head = f'resuming at iteration {HALF}: the settings of this run count, not those of the checkpoint: '
    lines = [text for text in warnings(log) if text.startswith(head)]
    assert len(lines) <= 1
    return lines[0].removeprefix(head).split('; ') if lines else []
