"""A setting that nothing reads is an error that names the nearest one that is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from mmengine.config import Config
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS

from mmseg_ccdistill.runtime.command_line import NAMED_BY_CHECKPOINT, load_config
from mmseg_ccdistill.runtime.config_overrides import apply_overrides
from mmseg_ccdistill.runtime.override_syntax import OverrideError, parse_overrides
from mmseg_ccdistill.runtime.read_settings import UnreadSettingError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
PAPER = CONFIGS / 'ccdistill/refinenet_r101_cs2dz.py'


def override(*words: str, file: Path = PAPER, **more: Any) -> Config:
    """A config with overrides; the messages call it c.py."""
    config = Config.fromfile(str(file))
    apply_overrides(config, 'c.py', parse_overrides(words), **more)
    return config


@pytest.mark.parametrize(
    'path', sorted(CONFIGS.rglob('*.py')), ids=lambda path: str(path.relative_to(CONFIGS))
)
def test_no_shipped_config_sets_what_nothing_reads(path: Path) -> None:
    load_config(str(path))


@pytest.mark.parametrize(
    ('word', 'name', 'found'),
    [
        ('loss_cdc=None', "'loss_cdc'", 'model.loss_cdc'),
        ('los_cdc=None', "'los_cdc'", 'model.loss_cdc'),
        ('optimizer.lr=0.5', "'optimizer', a variable of the file,", 'optim_wrapper.optimizer.lr'),
        ('lr=0.5', "'lr'", 'optim_wrapper.optimizer.lr'),
        (
            'source_root=/x',
            "'source_root', a variable of the file,",
            'train_dataloader.dataset.source.data_root',
        ),
        ('train_dataloaders.batch_size=4', "'train_dataloaders'", 'train_dataloader.batch_size'),
        ('max_iters=40', "'max_iters'", 'train_cfg.max_iters'),
        ('seed=3', "'seed'", 'randomness.seed'),
        (
            'test_pipeline.1.scale=(4,4)',
            "'test_pipeline', a variable of the file,",
            'val_dataloader.dataset.pipeline.1.scale and test_dataloader.dataset.pipeline.1.scale',
        ),
        (
            'test_size=(4,4)',  # made into three pipelines when the file was read
            "'test_size', a variable of the file,",
            'tta_pipeline.1.scale, val_dataloader.dataset.pipeline.1.scale and '
            'test_dataloader.dataset.pipeline.1.scale',
        ),
        (
            'target_crop_size=(4,4)',
            "'target_crop_size', a variable of the file,",
            'train_dataloader.dataset.target.pipeline.2.crop_size',
        ),
        (
            'data_preprocessor.std=[1,1,1]',  # the runner passes it on to a model without one
            "'data_preprocessor'",
            'model.data_preprocessor.std',
        ),
    ],
)
def test_an_override_that_nothing_reads_names_what_is_read(word, name, found) -> None:
    with pytest.raises(UnreadSettingError) as raised:
        override(word)
    key = word.partition('=')[0]
    assert str(raised.value) == (
        f"--cfg-options {key}: nothing reads {name} in the config 'c.py'; write {found}."
    )


def test_a_variable_that_became_part_of_a_larger_one_is_found_in_it() -> None:
    file = CONFIGS / 'adaptsegnet/deeplabv2_r101_cs2dz.py'
    with pytest.raises(UnreadSettingError, match=r'; write model\.adversarial_weight\.$'):
        override('adaptsegnet.adversarial_weight=1', file=file)


def test_the_optimizer_of_a_replaced_schedule_is_found_by_its_name() -> None:
    file = CONFIGS / 'segformer/segformer_mit-b2_cityscapes.py'
    with pytest.raises(UnreadSettingError, match=r'write optim_wrapper\.optimizer\.lr\.$'):
        override('optimizer.lr=0.5', file=file)


def test_a_name_without_any_likeness_lists_what_is_read() -> None:
    with pytest.raises(UnreadSettingError, match="nothing reads 'foo' .* one of .*, model, optim_"):
        override('foo=1')


def test_what_the_tool_sets_itself_is_said() -> None:
    with pytest.raises(UnreadSettingError, match='use the option --launcher'):
        override('launcher=slurm')
    with pytest.raises(UnreadSettingError, match='set it in the file'):
        override('custom_imports.imports=[x]')
    with pytest.raises(UnreadSettingError) as raised:
        override('load_from=a.pth', overruled=NAMED_BY_CHECKPOINT)
    assert str(raised.value) == (
        '--cfg-options load_from: nothing reads it from here: the argument CHECKPOINT names the weights; '
        'leave it out.'
    )
    assert override('load_from=a.pth').load_from == 'a.pth'


def test_a_tool_may_read_more() -> None:
    with pytest.raises(UnreadSettingError, match="nothing reads 'night_dataloader'"):
        override('night_dataloader.batch_size=2')
    config = override('night_dataloader.batch_size=2', also_read=['night_dataloader'])
    assert config.night_dataloader == {'batch_size': 2}


UNREAD = [
    ('train_dataloader.batchsize=4', 'train_dataloader', 'batchsize', 'batch_size'),
    ('val_dataloader.num_worker=4', 'val_dataloader', 'num_worker', 'num_workers'),
    ('env_cfg.cudnn_benchmrk=True', 'env_cfg', 'cudnn_benchmrk', 'cudnn_benchmark'),
    ('env_cfg.dist_cfg.time_out=9', 'env_cfg.dist_cfg', 'time_out', 'timeout'),
    ('randomness.sed=3', 'randomness', 'sed', 'seed'),
    ('val_evaluator.iou_metric=mIoU', 'val_evaluator', 'iou_metric', 'iou_metrics'),
    ('test_evaluator.datasetname=a', 'test_evaluator', 'datasetname', 'dataset_name'),
    ('auto_scale_lr.enabled=True', 'auto_scale_lr', 'enabled', 'enable'),
    ('default_hooks.chekpoint.interval=5', 'default_hooks', 'chekpoint', 'checkpoint'),
    ('model.segmentor.test_cfg.strides=5', 'model.segmentor.test_cfg', 'strides', 'stride'),
    (
        'train_dataloader.dataset.source.data_prefix.img_pth=x',
        'train_dataloader.dataset.source.data_prefix',
        'img_pth',
        'img_path',
    ),
    (
        'optim_wrapper.paramwise_cfg.custom_key.norm.lr_mult=2',
        'optim_wrapper.paramwise_cfg',
        'custom_key',
        'custom_keys',
    ),
    (
        'optim_wrapper.paramwise_cfg.custom_keys.norm.lr_mul=2',
        'optim_wrapper.paramwise_cfg.custom_keys.norm',
        'lr_mul',
        'lr_mult',
    ),
]


@pytest.mark.parametrize(('word', 'place', 'name', 'similar'), UNREAD)
def test_a_nested_name_that_no_class_checks_is_checked(word, place, name, similar) -> None:
    with pytest.raises(UnreadSettingError) as raised:
        override(word)
    own = ', or name it in the default of data_prefix of your data set, which says what the class reads'
    assert str(raised.value) == (
        f'--cfg-options {place}.{name}: nothing reads {name!r} there; expected a setting of {place}, such as '
        f'{similar!r}; correct the name or take it out{own if place.endswith("data_prefix") else ""}.'
    )


def test_a_data_set_reads_the_folders_that_its_class_or_one_below_names() -> None:
    key = 'train_dataloader.dataset.source'
    folder = f'{key}.data_prefix.night_path=leftImg8bit_night/train'
    with pytest.raises(UnreadSettingError, match="nothing reads 'night_path' there"):
        override(folder)
    config = override(folder, f'{key}.type=TranslatedCityscapesDataset')
    assert config.train_dataloader.dataset.source.data_prefix.night_path.endswith('night/train')

    class WithSecondImage(CityscapesDataset):
        def __init__(
            self,
            data_prefix: Mapping[str, str] = MappingProxyType({'img_path_b': ''}),
            **more: Any,
        ) -> None:
            super().__init__(data_prefix=data_prefix, **more)

    DATASETS.register_module(module=WithSecondImage, force=True)
    second = f'{key}.data_prefix.img_path_b=b'
    override(second, f'{key}.type=WithSecondImage')
    with pytest.raises(UnreadSettingError, match="such as 'img_path'"):
        override(second)


@pytest.mark.parametrize(
    ('words', 'key', 'value'),
    [
        (['param_scheduler.0.end=40'], 'param_scheduler.0.end', 40),
        (['default_hooks.mine.type=CheckpointHook'], 'default_hooks.mine.type', 'CheckpointHook'),
        (['train_dataloader.prefetch_factor=4'], 'train_dataloader.prefetch_factor', 4),
        (['work_dir=/x/my out'], 'work_dir', '/x/my out'),
        (
            ['optim_wrapper.clip_grad._delete_=True', 'optim_wrapper.clip_grad.max_norm=1'],
            'optim_wrapper.clip_grad',
            {'max_norm': 1},
        ),
        (['tta_pipeline.0.type=LoadImageFromFile'], 'tta_pipeline.0.type', 'LoadImageFromFile'),
        (['env_cfg.dist_cfg.mine=1'], 'env_cfg.dist_cfg.mine', 1),  # passed on to torch
    ],
)
def test_overrides_that_have_a_place_are_taken(words, key, value) -> None:
    node: Any = override(*words)
    for part in key.split('.'):
        node = node[int(part)] if isinstance(node, list) else node[part]
    assert node == value


@pytest.mark.parametrize(
    ('word', 'sentence'),
    [
        (
            'param_scheduler.3.end=4',
            "param_scheduler in the config 'c.py' is a list of 1: expected 0 in the place of '3'; correct it.",
        ),
        (
            'tta_pipeline.type=A',
            "tta_pipeline in the config 'c.py' is a list of 3: expected 0 to 2 in the place of 'type'; "
            'correct it.',
        ),
        (
            'load_from.a=4',
            "load_from in the config 'c.py' is 'work_dirs/refinenet/refinenet_r101_cityscapes/iter_40000..., which "
            'holds no settings: expected a dict there; correct the key, or add load_from._delete_=True to put a dict '
            'in its place.',
        ),
        (
            'optim_wrapper.clip_grad.max_norm=1',
            "optim_wrapper.clip_grad in the config 'c.py' is None, which holds no settings: expected a dict there; "
            'correct the key, or add optim_wrapper.clip_grad._delete_=True to put a dict in its place.',
        ),
        (
            'model.loss_cdc.loss_weight.a=1',
            "model.loss_cdc.loss_weight in the config 'c.py' is 2.0, which holds no settings: expected a dict "
            'there; correct the key, or add model.loss_cdc.loss_weight._delete_=True to put a dict in its place.',
        ),
        (
            'train_dataloader.dataset.source.pipeline.3.crop_size.0=4',
            "train_dataloader.dataset.source.pipeline.3.crop_size in the config 'c.py' is (512, 512), which holds "
            'no settings: expected a dict there; give it as a whole, '
            'train_dataloader.dataset.source.pipeline.3.crop_size=(...).',
        ),
        (
            'resume=yes',
            "'yes' is no switch: the config 'c.py' has False there; expected True or False.",
        ),
    ],
)
def test_an_override_without_a_place_is_one_sentence(word: str, sentence: str) -> None:
    with pytest.raises(OverrideError) as raised:
        override(word)
    assert str(raised.value) == f'--cfg-options {word.partition("=")[0]}: {sentence}'


@pytest.mark.parametrize(
    ('line', 'slip', 'meant'),
    [
        ('train_dataloaders = dict(batch_size=4)', 'train_dataloaders', 'train_dataloader'),
        ('param_schedulers = [dict(type="PolyLR")]', 'param_schedulers', 'param_scheduler'),
        ('custom_hook = [dict(type="SafeStopHook")]', 'custom_hook', 'custom_hooks'),
        ('optim_wraper = dict(clip_grad=None, type="A")', 'optim_wraper', 'optim_wrapper'),
        ('radnomness = dict(seed=7)', 'radnomness', 'randomness'),
    ],
)
def test_a_slip_in_the_file_is_found(tmp_path: Path, line: str, slip: str, meant: str) -> None:
    path = tmp_path / 'c.py'
    path.write_text(f'_base_ = {str(PAPER)!r}\n{line}\n')
    with pytest.raises(UnreadSettingError) as raised:
        load_config(str(path))
    assert str(raised.value) == (
        f'The config {str(path)!r} sets {slip!r}, which nothing reads: expected {meant!r}; correct the name, or '
        'give a variable of your own another name.'
    )


def test_a_nested_slip_in_the_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / 'c.py'
    path.write_text(f'_base_ = {str(PAPER)!r}\ntrain_dataloader = dict(batchsize=4)\n')
    with pytest.raises(UnreadSettingError) as raised:
        load_config(str(path))
    assert str(raised.value) == (
        f"The config {str(path)!r} has train_dataloader.batchsize: nothing reads 'batchsize' there; expected a "
        "setting of train_dataloader, such as 'batch_size'; correct the name or take it out."
    )


@pytest.mark.parametrize(
    'line',
    [
        'day_val_dataloader = dict(batch_size=1)',  # a whole name and a word of one's own
        'my_model = dict(type="X")',
        'train_pipeline = []',
        'norm_cfg = dict(type="BN")',
        'optimizers = dict(type="SGD", lr=2.5e-4, momentum=0.9, weight_decay=5e-4)',
        'hooks = [dict(type="SyncBuffersHook")]\ncustom_hook = dict(type="EmptyCacheHook")\n'
        'custom_hooks = [*hooks, custom_hook]',
    ],
)
def test_variables_of_the_file_are_left_alone(tmp_path: Path, line: str) -> None:
    path = tmp_path / 'c.py'
    path.write_text(f'_base_ = {str(PAPER)!r}\n{line}\n')
    load_config(str(path))
