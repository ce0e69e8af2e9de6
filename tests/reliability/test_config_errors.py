"""A setting that a class does not take is laid on the part of the config that has it."""

from __future__ import annotations

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner.log_processor import LogProcessor
from mmseg.registry import HOOKS, MODELS
from tiny_run import make_run, train
from torch.utils.data import DataLoader

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.config_errors import config_error, named_mistakes

KINDS = [
    ('loop', 'train_cfg.max_iterss', 'IterBasedTrainLoop', ", such as 'max_iters'"),
    ('hook', 'default_hooks.dataset_check.manifest_dirr', 'DatasetCheckHook', ", such as 'manifest_dir'"),
    (
        'checkpoint hook',
        'default_hooks.checkpoint.max_keep',
        'AtomicCheckpointHook',
        ", such as 'max_keep_ckpts'",
    ),
    ('scheduler', 'param_scheduler.0.powr', 'PolyLR', ", such as 'power'"),
    ('optimizer', 'optim_wrapper.optimizer.momentumm', 'SGD', ", such as 'momentum'"),
    ('wrapper', 'optim_wrapper.optmizer', 'OptimWrapper', ", such as 'optimizer'"),
    (
        'dataset',
        'train_dataloader.dataset.dataset.img_sufix',
        'CityscapesDataset',
        ", such as 'img_suffix' or 'seg_map_suffix'",
    ),
    ('transform', 'train_dataloader.dataset.dataset.pipeline.2.probb', 'RandomFlip', ", such as 'prob'"),
    ('sampler', 'train_dataloader.sampler.shufle', 'DrawSampler', ' (dataset, rare_classes, seed, start)'),
    (
        'loss',
        'model.decode_head.loss_decode.loss_weigt',
        'WeightedCrossEntropyLoss',
        ", such as 'loss_weight' or 'class_weight'",
    ),
    ('log processor', 'log_processor.window_sise', 'LogProcessor', ", such as 'window_size'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ('key', 'owner', 'similar'), [kind[1:] for kind in KINDS], ids=[kind[0] for kind in KINDS]
)
def test_the_sentence_names_the_part_and_the_nearest_setting(
    tmp_path, monkeypatch, capfd, key, owner, similar
) -> None:
    monkeypatch.chdir(make_run(tmp_path))
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    assert train(monkeypatch, '--cfg-options', f'{key}=1', 'train_cfg.max_iters=1') == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith('error: ')]
    assert errors == [
        f"error: The config 'tiny.py' gives {owner} the setting {key.rpartition('.')[2]!r} ({key}): expected one "
        f'that it has{similar}; correct its name or take it out.'
    ]


def test_a_fault_of_the_code_is_not_laid_on_the_config() -> None:
    config = Config(dict(train_dataloader=dict(batch_size=2), log_processor=dict(window_size=3)))
    with pytest.raises(TypeError) as raised:
        LogProcessor(batchsize=config.train_dataloader.batch_size)
    assert config_error(raised.value, config, 'c.py') is None


VALUES = [
    ('optim_wrapper.optimizer.lr', 'fast', 'SGD', "'<' not supported between instances of 'str' and 'float'"),
    ('train_cfg.max_iters', 'many', 'IterBasedTrainLoop', "invalid literal for int() with base 10: 'many'"),
    (
        'train_dataloader.batch_size',
        'two',
        'DataLoader',
        "batch_size should be a positive integer value, but got batch_size=two",
    ),
]  # fmt: skip


@pytest.mark.parametrize(('key', 'value', 'owner', 'reason'), VALUES, ids=[v[0] for v in VALUES])
def test_a_value_that_a_library_refuses_is_named(
    tmp_path, monkeypatch, capfd, key, value, owner, reason
) -> None:
    monkeypatch.chdir(make_run(tmp_path))
    assert train(monkeypatch, '--cfg-options', f'{key}={value}') == 2
    error = next(e for e in capfd.readouterr().err.splitlines() if e.startswith('error: '))
    assert error.startswith("error: The config 'tiny.py' has ")
    assert f'{key}={value!r}' in error
    assert error.endswith(
        f', and {owner} does not take it ({reason}): expected values that it takes; correct them.'
    )


def test_a_loop_without_its_data_is_named(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(make_run(tmp_path))
    assert train(monkeypatch, '--cfg-options', 'val_dataloader=None') == 2
    errors = [e for e in capfd.readouterr().err.splitlines() if e.startswith('error: ')]
    assert errors == [
        "error: The config 'tiny.py' has one of val_dataloader, val_cfg, and val_evaluator without the others: "
        'expected all three or none; add what is missing, or set the others to None.'
    ]


def test_a_refusal_of_values_that_are_not_the_configs_is_not_laid_on_it() -> None:
    config = Config(dict(train_dataloader=dict(batch_size=2)))
    with pytest.raises(ValueError) as raised:
        DataLoader([1], batch_size=-config.train_dataloader.batch_size)
    assert config_error(raised.value, config, 'c.py') is None


@HOOKS.register_module(force=True)
class PickyHook(Hook):
    """Takes even numbers, and nothing but numbers without saying so."""

    def __init__(self, count: int = 0) -> None:
        if count + 1 and count % 2:
            raise ValueError(f'count must be even, is {count}')


def test_a_value_that_a_class_of_the_user_refuses_is_named() -> None:
    config = Config(
        dict(custom_hooks=[dict(type='IterTimerHook'), dict(type='PickyHook', count=3)])
    )
    with pytest.raises(UserInputError) as raised, named_mistakes(config):
        HOOKS.build(config.custom_hooks[1])
    assert str(raised.value) == (
        "The config 'of this run' has custom_hooks.1.count=3, and PickyHook does not take it (count must be even, is "
        '3): expected values that it takes; correct them.'
    )


def test_a_fault_of_a_class_of_the_user_keeps_its_traceback() -> None:
    config = Config(dict(custom_hooks=[dict(type='PickyHook', count=None)]))
    with pytest.raises(TypeError, match='unsupported operand'), named_mistakes(config):
        HOOKS.build(config.custom_hooks[0])


def test_the_innermost_part_is_named_with_the_values_that_the_reason_holds() -> None:
    backbone = dict(type='ResNet', depth=19, base_channels=4)
    config = Config(
        dict(model=dict(type='EncoderDecoder', backbone=backbone, decode_head=dict(type='FCNHead')))
    )
    with pytest.raises(UserInputError) as raised, named_mistakes(config):
        MODELS.build(config.model)
    assert str(raised.value) == (
        "The config 'of this run' has model.backbone.depth=19, and ResNet does not take it (invalid depth 19 for "
        'resnet): expected values that it takes; correct them.'
    )


def test_what_passes_an_unknown_setting_on_is_named_by_its_place() -> None:
    config = Config(dict(custom_hooks=[dict(type='AtomicCheckpointHook', intervall=3)]))
    with pytest.raises(UserInputError) as raised, named_mistakes(config):
        HOOKS.build(config.custom_hooks[0])
    assert str(raised.value) == (
        "The config 'of this run' gives AtomicCheckpointHook the setting 'intervall' (custom_hooks.0.intervall): "
        "expected one that it has, such as 'interval'; correct its name or take it out."
    )


def test_an_error_of_the_run_itself_is_left_alone() -> None:
    config = Config(dict(custom_hooks=[dict(type='PickyHook', count=2)]))
    with pytest.raises(ValueError, match='^a number of the run$'), named_mistakes(config):
        raise ValueError('a number of the run')
