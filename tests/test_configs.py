"""Every shipped config loads, builds, and siblings change only what they say."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from lite_package import skip_unless_buildable
from meta_device import meta_device
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, HOOKS, MODELS

import mmseg_ccdistill  # noqa: F401

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
FILES = sorted(p for p in CONFIGS.rglob('*.py') if '_base_' not in p.parts)


def name(path: Path) -> str:
    return str(path.relative_to(CONFIGS))


def flat(value: Any, prefix: str = '') -> dict[str, Any]:
    """Leaves of nested dicts and lists by dotted path."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, (list, tuple)) and any(isinstance(v, (dict, list)) for v in value):
        items = enumerate(value)
    else:
        return {prefix: value}
    leaves: dict[str, Any] = {}
    for key, child in items:
        leaves.update(flat(child, f'{prefix}.{key}' if prefix else str(key)))
    return leaves


def sizes(node: Any) -> list[tuple[str, tuple[int, int]]]:
    """(``'RandomCrop.crop_size'``, its value) of every transform with a size, in order."""
    found = []
    if isinstance(node, dict):
        found = [(f'{node.get("type")}.{k}', node[k]) for k in ('scale', 'crop_size') if k in node]
        node = list(node.values())
    if isinstance(node, list):
        found += [pair for child in node for pair in sizes(child)]
    return found


def changed(base: Config, child: Config) -> list[str]:
    a, b = flat(base.to_dict()), flat(child.to_dict())
    return sorted(key for key in set(a) | set(b) if a.get(key) != b.get(key))


@pytest.mark.parametrize('path', FILES, ids=name)
def test_builds_at_full_size(path: Path) -> None:
    cfg = Config.fromfile(str(path))
    skip_unless_buildable(cfg.model)
    init_default_scope(cfg.default_scope)
    with meta_device():
        model = MODELS.build(cfg.model)
    assert model.num_classes == 19
    for key, hook in cfg.default_hooks.items():
        if key != 'visualization':  # mmseg's own, which needs a runner's visualizer
            HOOKS.build(hook)
    for split in ('train', 'val', 'test'):
        DATASETS.build(dict(cfg[f'{split}_dataloader'].dataset, lazy_init=True))  # no file is read
    assert 'mmseg_ccdistill' in cfg.custom_imports.imports


def test_the_paper_in_numbers() -> None:
    """Section 4 of the paper: SGD 2.5e-4, 0.9, 5e-4, batch 2, 50k, lambda_1 2, lambda_2 1, lambda 4, crops 512/960."""
    cfg = Config.fromfile(str(CONFIGS / 'ccdistill/refinenet_r101_cs2dz.py'))
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.momentum, optimizer.weight_decay) == (
        'SGD',
        2.5e-4,
        0.9,
        5e-4,
    )
    assert cfg.optim_wrapper.clip_grad is None and 'paramwise_cfg' not in cfg.optim_wrapper
    assert cfg.train_cfg.max_iters == 50000 and cfg.train_dataloader.batch_size == 2
    assert cfg.param_scheduler[0].power == 0.9 and cfg.param_scheduler[0].end == 50000
    init_default_scope('mmseg')
    cdc, cds = MODELS.build(cfg.model.loss_cdc), MODELS.build(cfg.model.loss_cds)
    assert (cdc.loss_weight, cdc.attraction_weight, cds.loss_weight) == (2.0, 4.0, 1.0)
    target = {step['type']: step for step in cfg.train_dataloader.dataset.target.pipeline}
    source = {step['type']: step for step in cfg.train_dataloader.dataset.source.pipeline}
    assert source['RandomCrop'].crop_size == (512, 512)
    assert target['RandomCrop'].crop_size == (960, 960) and target['Resize'].scale == (512, 512)
    assert cfg.test_pipeline[1]['scale'] == (960, 540)


@pytest.mark.parametrize(
    ('base', 'child'),
    [
        ('refinenet/refinenet_small_mini.py', 'refinenet/refinenet_small_camvid.py'),
        (
            'ccdistill/refinenet_small_mini_day2night.py',
            'ccdistill/refinenet_small_camvid_day2night.py',
        ),
        (
            'ccdistill/refinenet_small_mini_day2night_matched.py',
            'ccdistill/refinenet_small_camvid_day2night_matched.py',
        ),
        *[
            (f'{stem}.py', f'{stem.replace("_mini_", "_camvid_")}.py')
            for stem in (
                'adaptsegnet/refinenet_small_mini_day2night',
                'adaptsegnet/refinenet_small_mini_day2night_multi-level',
                'advent/refinenet_small_mini_day2night',
                'advent/refinenet_small_mini_day2night_minent',
                'udaclustering/refinenet_small_mini_day2night',
                'bdl_lab/refinenet_small_mini_day2night_ssl0',
                'dannet/refinenet_small_mini_day2night',
            )
        ],
    ],
)
def test_real_frames_change_only_roots_and_sizes(base: str, child: str) -> None:
    keys = changed(Config.fromfile(str(CONFIGS / base)), Config.fromfile(str(CONFIGS / child)))
    used = [
        key
        for key in keys
        if key.split('.')[0]
        in (
            'model',
            'train_dataloader',
            'val_dataloader',
            'test_dataloader',
            'optim_wrapper',
            'train_cfg',
            'param_scheduler',
            'randomness',
        )
    ]
    assert used
    assert {key.split('.')[-1] for key in used} <= {'data_root', 'scale', 'crop_size', 'size'}


#: What a method reads, where that is not the labelled days and the nights.
DOMAINS = {
    'bdl_lab': ('source_night', 'target_night'),
    'dannet': ('source_day', 'target_day', 'target_night'),
}


@pytest.mark.parametrize(
    'stem',
    [
        'adaptsegnet/refinenet_small_camvid_day2night',
        'adaptsegnet/refinenet_small_camvid_day2night_multi-level',
        'advent/refinenet_small_camvid_day2night',
        'advent/refinenet_small_camvid_day2night_minent',
        'udaclustering/refinenet_small_camvid_day2night',
        'bdl_lab/refinenet_small_camvid_day2night_ssl0',
        'dannet/refinenet_small_camvid_day2night',
    ],
)
def test_a_rival_sees_the_real_frames_that_ccdistill_sees(stem: str) -> None:
    path = 'ccdistill/refinenet_small_camvid_day2night.py'
    config, reference = (Config.fromfile(str(CONFIGS / p)) for p in (f'{stem}.py', path))
    domains = config.train_dataloader.dataset.pop('domains')
    assert domains == DOMAINS.get(stem.split('/')[0], ('source_day', 'target_night'))
    loaders = tuple(f'{part}_dataloader' for part in ('train', 'val', 'test'))
    for key in (*loaders, 'test_pipeline', 'tta_pipeline', 'test_size', 'load_from'):
        assert config[key] == reference[key], key


def test_the_sizes_of_the_real_frames() -> None:
    """By their steps: the configs change them by number."""
    day, adapted = (
        Config.fromfile(str(CONFIGS / f'{stem}.py'))
        for stem in (
            'refinenet/refinenet_small_camvid',
            'ccdistill/refinenet_small_camvid_day2night',
        )
    )
    pipelines = {
        'day': day.train_dataloader.dataset.dataset.pipeline,
        'source': adapted.train_dataloader.dataset.source.pipeline,
        'target': adapted.train_dataloader.dataset.target.pipeline,
    }
    for pipeline in pipelines.values():
        (step,) = [step for step in pipeline if 'scale' in step and step.type != 'Resize']
        assert (step.type, step.scale) == ('RandomResize', (480, 360))
    for config in (day, adapted):
        tested = [config[f'{stage}_dataloader'].dataset.pipeline for stage in ('val', 'test')]
        for pipeline in (*tested, config.test_pipeline, config.tta_pipeline):
            (step,) = [step for step in pipeline if 'scale' in step]
            assert (step.type, step.scale) == ('Resize', (256, 192))


@pytest.mark.parametrize('path', FILES, ids=name)
def test_sizes_are_those_of_the_variables(path: Path) -> None:
    """One crop for every image of training and for the preprocessor, one size for tests, with and without TTA.

    A crop of None: whole images, one of each domain in a batch.
    """
    cfg = Config.fromfile(str(path))
    assert cfg.model.data_preprocessor.size == cfg.crop_size
    trained = [
        value
        for key, value in sizes(cfg.train_dataloader)
        if not key.endswith('RandomResize.scale')
    ]
    if cfg.crop_size is None:
        assert cfg.train_dataloader.batch_size == 1
        assert set(trained) <= {cfg.released_source_size, cfg.released_target_size}
    else:
        assert cfg.crop_size in trained
        assert set(trained) <= {cfg.crop_size, cfg.get('target_crop_size')}
    for pipeline in (cfg.test_dataloader.dataset.pipeline, cfg.test_pipeline, cfg.tta_pipeline):
        assert [step.scale for step in pipeline if step.type == 'Resize'] == [cfg.test_size]


def test_two_bases_that_a_config_may_list_share_no_name() -> None:
    """A config takes one file of each kind: training data, schedule, runtime; and any number of all others."""
    names = {
        path.relative_to(CONFIGS / '_base_').as_posix(): set(Config.fromfile(str(path)).to_dict())
        for path in sorted((CONFIGS / '_base_').rglob('*.py'))
    }
    of_one_kind = [
        {file for file, found in names.items() if key in found}
        for key in ('train_dataloader', 'train_cfg', 'default_hooks')
    ]
    assert [len(kind) for kind in of_one_kind] == [5, 6, 1]
    augmentation = {'test_time_augmentation.py', *of_one_kind[0]}  # the data's own base
    for first, second in itertools.combinations(names, 2):
        if not any({first, second} <= kind for kind in (*of_one_kind, augmentation)):
            assert not names[first] & names[second], (first, second)


@pytest.mark.parametrize('small_one', ['refinenet_small', 'refinenet_efficientnet-lite0'])
def test_the_small_networks_have_the_matched_recipe_of_the_large_one(small_one: str) -> None:
    large, small = (
        changed(
            Config.fromfile(str(CONFIGS / f'ccdistill/{stem}.py')),
            Config.fromfile(str(CONFIGS / f'ccdistill/{stem}_matched.py')),
        )
        for stem in ('refinenet_r101_cs2dz', f'{small_one}_mini_day2night')
    )
    assert large == small
    recipes = [
        Config.fromfile(str(CONFIGS / f'ccdistill/{stem}_matched.py')).model
        for stem in ('refinenet_r101_cs2dz', f'{small_one}_mini_day2night')
    ]
    for key in ('distill_into', 'feature', 'loss_cdc', 'loss_cds', 'loss_pseudo'):
        assert recipes[0][key] == recipes[1][key]
    widths = [dict(recipe.projection_head) for recipe in recipes]
    assert [width.pop('in_channels') for width in widths] == [256, 32]
    assert widths[0] == widths[1]


@pytest.mark.parametrize(
    'path', sorted((CONFIGS / 'ccdistill/ablations').glob('*_wo-cdc-cds.py')), ids=name
)
def test_the_baseline_row_drops_only_the_distillation(path: Path) -> None:
    full = Config.fromfile(str(CONFIGS / 'ccdistill' / path.name.replace('_wo-cdc-cds', '')))
    keys = changed(full, Config.fromfile(str(path)))
    assert {'.'.join(key.split('.')[:2]) for key in keys} == {
        'model.projection_head',
        'model.loss_cdc',
        'model.loss_cds',
    }


def test_every_link_in_the_docs_exists() -> None:
    root = CONFIGS.parent
    for page in [root / 'README.md', *sorted((root / 'docs').rglob('*.md'))]:
        for target in re.findall(r'\]\(([^)#]+)\)', page.read_text()):
            if not target.startswith(('http://', 'https://')):
                assert (page.parent / target).exists(), f'{page.name}: {target}'


LITE = 'refinenet_efficientnet-lite0_mini'


@pytest.mark.parametrize('variant', ['', '_matched', '_plus'])
def test_the_pretrained_network_changes_network_and_schedule_alone(variant: str) -> None:
    """Data, losses and terms are those of the network from random weights."""
    keys = changed(
        Config.fromfile(str(CONFIGS / f'ccdistill/refinenet_small_mini_day2night{variant}.py')),
        Config.fromfile(str(CONFIGS / f'ccdistill/{LITE}_day2night{variant}.py')),
    )
    allowed = ['model.segmentor.backbone.', 'model.segmentor.decode_head.in_channels', 'optim']
    allowed += ['param_scheduler.0.end', 'train_cfg.', 'load_from', 'refinenet_']
    allowed += [] if variant else ['model.feature', 'model.projection_head.in_channels']
    assert [key for key in keys if not key.startswith(tuple(allowed))] == []


def test_the_pretrained_rows_go_on_at_a_low_rate_from_one_source_stage() -> None:
    source = Config.fromfile(str(CONFIGS / f'refinenet/{LITE}.py'))
    assert source.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-4, weight_decay=0.01)
    assert source.optim_wrapper.paramwise_cfg == dict(
        custom_keys=dict(decode_head=dict(lr_mult=10.0))
    )
    assert source.model.backbone == dict(type='EfficientNetLite', pretrained=True, freeze_norm=True)
    rows = [f'refinenet/{LITE}_{end}.py' for end in ('continued', 'oracle')]
    rows += [f'ccdistill/{LITE}_day2night{end}.py' for end in ('', '_matched', '_plus')]
    for row in rows:
        config = Config.fromfile(str(CONFIGS / row))
        assert config.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-4, weight_decay=0.01)
        assert 'paramwise_cfg' not in config.optim_wrapper
        assert config.train_cfg.max_iters == config.param_scheduler[0].end == 1000
        assert (
            config.load_from == f'work_dirs/refinenet/{LITE}/iter_{source.train_cfg.max_iters}.pth'
        )


@pytest.mark.parametrize(
    'stem',
    [
        'adaptsegnet/refinenet_small_mini_day2night',
        'adaptsegnet/refinenet_small_mini_day2night_multi-level',
        'advent/refinenet_small_mini_day2night',
        'advent/refinenet_small_mini_day2night_minent',
        'dannet/refinenet_small_mini_day2night',
        'udaclustering/refinenet_small_mini_day2night',
    ],
)
def test_the_pretrained_network_of_a_rival_changes_network_and_schedule_alone(stem: str) -> None:
    """It starts from the source stage of CCDistill's pretrained rows and has their optimizer."""
    parent = Config.fromfile(str(CONFIGS / f'{stem}.py'))
    path = f'{stem.replace("refinenet_small_mini", LITE)}.py'
    config = Config.fromfile(str(CONFIGS / path))
    allowed = ('model.segmentor.', 'optim', 'param_scheduler.0.end', 'train_cfg.', 'load_from')
    # names of variables, and the map of stride 16 in place of 32
    allowed += ('refinenet_', 'segmentor.', 'auxiliary_head.', 'model.feature')
    assert [key for key in changed(parent, config) if not key.startswith(allowed)] == []
    recipe = config.optim_wrapper.optimizer
    assert recipe.get('night', recipe) == dict(type='AdamW', lr=1e-4, weight_decay=0.01)
    assert config.load_from == f'work_dirs/refinenet/{LITE}/iter_4000.pth'
    assert config.train_cfg.max_iters == config.param_scheduler[0].end == 1000
    head = config.model.segmentor.get('auxiliary_head')
    assert head is None or (head.in_channels, head.in_index) == (112, 2)


@pytest.mark.parametrize(
    ('stem', 'active', 'iterations', 'end'),
    [
        ('adaptsegnet/deeplabv2_r101_cs2dz_multi-level', 2, 150000, 250000),
        ('advent/deeplabv2_r101_cs2dz', None, 120000, 250000),
        ('udaclustering/deeplabv2_r101_cs2dz', 2, 24750, 24760),
        ('deeplabv2/deeplabv2_r101_cityscapes', 2, 80000, 200000),
    ],
)
def test_the_released_variants(stem: str, active: int | None, iterations: int, end: int) -> None:
    """Caffe network and images, whole images one by one, triple rate of the backbone, the schedule stopped early."""
    config = Config.fromfile(str(CONFIGS / f'{stem}_released.py'))
    network = config.model.get('segmentor', config.model)
    for preprocessor in (config.model.data_preprocessor, network.data_preprocessor):
        assert preprocessor.mean == [104.00698793, 116.66876762, 122.67891434]
        assert preprocessor.std == [1.0, 1.0, 1.0] and not preprocessor.bgr_to_rgb
        assert (preprocessor.size, preprocessor.size_divisor) == (None, 1)
    assert network.backbone.style == 'caffe'
    heads = [network[name] for name in ('decode_head', 'auxiliary_head') if name in network]
    assert {head.get('num_active') for head in heads} == {active}
    assert all(head.loss_decode.get('class_weight') is None for head in heads)
    assert config.train_dataloader.batch_size == 1
    assert config.train_cfg.max_iters == iterations
    assert config.param_scheduler[0].end == end and config.param_scheduler[0].power == 0.9
    wrapper = config.optim_wrapper
    night = wrapper.optimizer.get('night', dict(wrapper.optimizer, **wrapper))
    keys = night['paramwise_cfg']['custom_keys']
    assert (keys['backbone']['lr_mult'], keys['decode_head']['lr_mult']) == (3.0, 10.0)
    assert (night['lr'], night.get('nesterov', False)) == (2.5e-4, False)


@pytest.mark.parametrize(
    'stem',
    ['deeplabv2/deeplabv2_r101_cityscapes', 'udaclustering/deeplabv2_r101_cs2dz'],
)
def test_released_udaclustering_freezes_the_normalisation_of_the_stem_alone(stem: str) -> None:
    """206 tensors of scales and shifts, 105,216 parameters, are trained (released code, counted)."""
    config = Config.fromfile(str(CONFIGS / f'{stem}_released.py'))
    init_default_scope('mmseg')
    wrapper = config.optim_wrapper
    wrapper = wrapper.optimizer.get('night', wrapper)
    with torch.device('meta'):
        network = MODELS.build(config.model.get('segmentor', config.model))
    optimizer = build_optim_wrapper(network, dict(wrapper, type='OptimWrapper')).optimizer
    rates = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}
    norm = {
        name: p
        for name, p in network.backbone.named_parameters()
        if 'bn' in name or 'downsample.1' in name
    }
    trained = [p for p in norm.values() if p.requires_grad and rates[id(p)] > 0]
    assert (len(trained), sum(p.numel() for p in trained)) == (206, 105_216)
    assert all(rates[id(p)] == 0 for name, p in norm.items() if name.startswith('bn1'))


def test_the_rates_of_the_released_schedule() -> None:
    """At iterations 0, 1, 80,000 and 120,000; those of the discriminators are 0.4 times that."""
    path = CONFIGS / 'adaptsegnet/deeplabv2_r101_cs2dz_multi-level_released.py'
    config = Config.fromfile(str(path))
    schedule, optimizers = config.param_scheduler[0], config.optim_wrapper.optimizer
    rates = (2.5e-4, 2.4999910e-4, 1.7668433e-4, 1.3878516e-4)
    for iteration, rate in zip((0, 1, 80000, 120000), rates, strict=True):
        found = optimizers.night.lr * (1 - iteration / schedule.end) ** schedule.power
        assert found == pytest.approx(rate, abs=1e-11)
    assert optimizers.discriminators.lr == pytest.approx(0.4 * optimizers.night.lr)
