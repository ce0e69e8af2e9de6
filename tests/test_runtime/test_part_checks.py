"""Types and arguments of a config are checked before anything is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS
from torch import nn

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.config_parts import arguments_of, config_parts
from mmseg_ccdistill.runtime.part_checks import check_parts

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = sorted((ROOT / 'configs').rglob('*.py'))


@DATASETS.register_module(force=True)
class HandsOn(BaseSegDataset):
    """A dataset of the user that hands arguments on."""

    def __init__(self, folder: str, **kwargs: Any) -> None:
        super().__init__(img_suffix='.png', **kwargs)


@MODELS.register_module(force=True)
class UsersHead(nn.Module):
    """A head of the user, for which a type may be a word of its own."""

    def __init__(self, schedule: dict[str, Any]) -> None:
        super().__init__()


def sentence(**values: Any) -> str:
    with pytest.raises(UserInputError) as raised:
        check_parts(Config(values), 'c.py')
    return str(raised.value)


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: str(path.relative_to(ROOT / 'configs')))
def test_no_shipped_config_is_accused(path: Path) -> None:
    check_parts(Config.fromfile(str(path)), path.name)


def loader(**dataset: Any) -> dict[str, Any]:
    return dict(batch_size=1, sampler=dict(type='DrawSampler'), dataset=dataset)


FLIP = dict(type='RandomFlip', prob=0.5)
UNKNOWN = [
    (dict(model=dict(type='EncoderDecodr')), 'model.type', 'EncoderDecodr', 'model', 'EncoderDecoder'),
    (
        dict(model=dict(type='EncoderDecoder', backbone=dict(type='ResNett'), decode_head=dict(type='FCNHead'))),
        'model.backbone.type',
        'ResNett',
        'model',
        "ResNet' or 'ResNeXt",
    ),
    (
        dict(train_dataloader=loader(type='CityscapesDataset', pipeline=[FLIP, dict(type='RandomFlop')])),
        'train_dataloader.dataset.pipeline.1.type',
        'RandomFlop',
        'transform',
        "RandomFlip' or 'RandomRotFlip",
    ),
    (
        dict(custom_hooks=[dict(type='EMAHook'), dict(type='EarlyStopingHook')]),
        'custom_hooks.1.type',
        'EarlyStopingHook',
        'hook',
        'EarlyStoppingHook',
    ),
    (
        dict(optim_wrapper=dict(optimizer=dict(type='AdamWW', lr=1.0))),
        'optim_wrapper.optimizer.type',
        'AdamWW',
        'optimizer',
        "AdamW' or 'Adam",
    ),
    (
        dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0), constructor='DefaultOptimWraperConstructor')),
        'optim_wrapper.constructor',
        'DefaultOptimWraperConstructor',
        'optimizer wrapper constructor',
        'DefaultOptimWrapperConstructor',
    ),
    (dict(runner_type='NamedHookRunner'), 'runner_type', 'NamedHookRunner', 'runner', 'NamedHooksRunner'),
    (
        dict(param_scheduler=[dict(type='PollyLR')]),
        'param_scheduler.0.type',
        'PollyLR',
        'parameter scheduler',
        'PolyLR',
    ),
    (dict(val_evaluator=[dict(type='IoUMetrik')]), 'val_evaluator.0.type', 'IoUMetrik', 'metric', 'IoUMetric'),
    (
        dict(train_cfg=dict(type='IterBasedTrainLop')),
        'train_cfg.type',
        'IterBasedTrainLop',
        'loop',
        'IterBasedTrainLoop',
    ),
    (
        dict(visualizer=dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackendd')])),
        'visualizer.vis_backends.0.type',
        'LocalVisBackendd',
        'vis_backend',
        'LocalVisBackend',
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ('values', 'place', 'name', 'registry', 'similar'), UNKNOWN, ids=[row[2] for row in UNKNOWN]
)
def test_an_unknown_type(
    values: dict[str, Any], place: str, name: str, registry: str, similar: str
) -> None:
    text = sentence(**values)
    start = f"The config 'c.py' has {place}={name!r}: expected a name of the registry mmseg::{registry}, such as '"
    assert text.startswith(start)
    assert repr(similar.split("'")[0]) in text
    assert text.endswith('; correct it, or add the module that registers it to custom_imports.')


def test_an_unknown_argument_inside_several_layers() -> None:
    source = dict(
        type='CityscapesDataset',
        pipeline=[dict(type='RandomChoice', transforms=[[dict(FLIP, probb=1)]])],
    )
    target = dict(type='CityscapesDataset')
    text = sentence(
        train_dataloader=loader(type='CrossDomainDataset', source=source, target=target)
    )
    place = 'train_dataloader.dataset.source.pipeline.0.transforms.0.0.probb'
    assert text == (
        f"The config 'c.py' gives RandomFlip the setting 'probb' ({place}): expected one that it has, such as 'prob'; "
        'correct its name or take it out.'
    )


def test_an_argument_of_the_base_is_one_of_the_class() -> None:
    assert arguments_of(DATASETS.get('CityscapesDataset')).names >= {
        'img_suffix',
        'data_prefix',
        'indices',
    }
    assert not arguments_of(DATASETS.get('CityscapesDataset')).takes_more
    assert arguments_of(MODELS.get('TIMMBackbone')).takes_more  # its **kwargs go to timm


def test_a_missing_argument() -> None:
    head = dict(type='FCNHead')
    assert sentence(model=dict(type='EncoderDecoder', decode_head=head)) == (
        "The config 'c.py' builds EncoderDecoder (model) without 'backbone': expected this setting; add what is "
        'missing or correct its name.'
    )
    assert sentence(train_dataloader=loader(type='HandsOn')) == (
        "The config 'c.py' builds HandsOn (train_dataloader.dataset) without 'folder': expected this setting; add what "
        'is missing or correct its name.'
    )


@pytest.mark.parametrize(
    ('values', 'place'),
    [
        (dict(model=dict(backbone=dict(type='ResNet'))), 'model'),
        (dict(train_dataloader=loader(data_root='x')), 'train_dataloader.dataset'),
        (
            dict(train_dataloader=loader(type='CityscapesDataset', pipeline=[FLIP, dict(prob=1)])),
            'train_dataloader.dataset.pipeline.1',
        ),
        (dict(default_hooks=dict(mine=dict(interval=3))), 'default_hooks.mine'),
    ],
)  # fmt: skip
def test_a_part_without_type(values: dict[str, Any], place: str) -> None:
    assert sentence(**values) == (
        f"The config 'c.py' has {place} without type: expected type=... in every part that is built; correct it, or "
        'take the part out with None.'
    )


ONE_OF_TWO = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1.0))
TWO_WRAPPERS = dict(
    optim_wrapper=dict(constructor='BranchwiseOptimWrapperConstructor', day=ONE_OF_TWO)
)


@pytest.mark.parametrize(
    'values',
    [
        dict(train_dataloader=loader(type='HandsOn', folder='x', img_suffixx='left to the build')),
        dict(model=dict(type='UsersHead', schedule=dict(type='cosine', end=3))),
        dict(custom_hooks=[dict(type='ProfilerHook', on_trace_ready=dict(type='log_trace'))]),
        dict(custom_hooks=[dict(type='EMAHook', momentum=0.1, priority=49)]),
        dict(default_hooks=dict(progress=None), val_evaluator=None, param_scheduler=None),
        dict(train_cfg=dict(by_epoch=False, max_iters=3), val_cfg=dict(), log_processor=dict(by_epoch=False)),
        dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=1.0), clip_grad=dict(type='value', clip_value=1))),
        TWO_WRAPPERS,
        dict(param_scheduler=dict(day=[dict(type='PolyLR', eta_min=0)])),
        dict(
            train_dataloader=loader(
                type='CityscapesDataset',
                pipeline=[dict(type='Albu', transforms=[dict(type='Blur', blur_limit=3)])],
            )
        ),
    ],
    ids=lambda values: next(iter(values)),
)  # fmt: skip
def test_what_others_give_or_read_is_no_mistake(values: dict[str, Any]) -> None:
    check_parts(Config(values), 'c.py')


def test_a_class_in_place_of_a_name() -> None:
    text = sentence(
        train_dataloader=loader(type=HandsOn, folder='x', pipeline=[dict(type='Nothing')])
    )
    assert 'train_dataloader.dataset.pipeline.0.type' in text


def test_the_places_are_those_of_the_command_line() -> None:
    hooks = dict(checkpoint=dict(type='AtomicCheckpointHook'))
    config = Config(dict(default_hooks=hooks, tta_pipeline=[FLIP]))
    assert [part.place for part in config_parts(config)] == [
        'default_hooks.checkpoint',
        'tta_pipeline.0',
    ]
