"""The paper's config where the paper is silent or points to other work: the settings, written out."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS

from mmseg_ccdistill.models.losses import (
    STATIC_CLASSES,
    CDCLoss,
    CDSLoss,
    StaticLoss,
    WeightedCrossEntropyLoss,
)
from mmseg_ccdistill.models.necks import ProjectionHead
from mmseg_ccdistill.models.segmentors import AdaptationSegmentor, CCDistillSegmentor

CONFIG = Path(__file__).resolve().parents[1] / 'configs/ccdistill/refinenet_r101_cs2dz.py'


@pytest.fixture(scope='module')
def config() -> Config:
    return Config.fromfile(str(CONFIG))


def in_force(component: type, settings: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a component under a config: its own, and the defaults of the others."""
    parameters = inspect.signature(component.__init__).parameters
    defaults = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
    return {**defaults, **{key: value for key, value in settings.items() if key != 'type'}}


def test_augmentation_is_that_of_dannet(config: Config) -> None:
    dataset = config.train_dataloader.dataset
    source = {step.type: step for step in dataset.source.pipeline}
    target = {step.type: step for step in dataset.target.pipeline}
    assert list(source) == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomResize',
        'RandomCrop',
        'RandomFlip',
    ]
    assert list(target) == [
        'LoadImageFromFile',
        'RandomResize',
        'RandomCrop',
        'Resize',
        'RandomFlip',
    ]
    assert (source['RandomResize'].scale, source['RandomResize'].ratio_range) == (
        (2048, 1024),
        (0.5, 1.0),
    )
    assert (target['RandomResize'].scale, target['RandomResize'].ratio_range) == (
        (1920, 1080),
        (0.9, 1.1),
    )
    assert 'cat_max_ratio' not in source['RandomCrop']  # mmseg's 1.0: any crop will do
    assert source['RandomFlip'].prob == target['RandomFlip'].prob == 0.5
    assert [step.type for step in dataset.pipeline] == ['LABTransfer', 'PackCrossDomainInputs']


def test_images_are_resized_bilinearly(config: Config) -> None:
    """In all four pipelines; labels keep their classes."""
    init_default_scope('mmseg')
    dataset = config.train_dataloader.dataset
    image = np.random.RandomState(0).randint(0, 256, (64, 96, 3)).astype(np.uint8)
    label = np.random.RandomState(1).randint(0, 19, (64, 96)).astype(np.uint8)
    steps = [
        dict(step, scale=(60, 40), keep_ratio=False)
        for pipeline in (
            dataset.source.pipeline,
            dataset.target.pipeline,
            config.test_dataloader.dataset.pipeline,
        )
        for step in pipeline
        if 'Resize' in step.type
    ]
    assert [step['type'] for step in steps] == ['RandomResize', 'RandomResize', 'Resize', 'Resize']
    for step in steps:
        if step['type'] == 'RandomResize':
            step['ratio_range'] = (1.0, 1.0)
        results = dict(img=image, gt_seg_map=label, seg_fields=['gt_seg_map'])
        found = TRANSFORMS.build(step)(results)
        expected = cv2.resize(image, (60, 40), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(found['img'], expected)
        nearest = cv2.resize(label, (60, 40), interpolation=cv2.INTER_NEAREST)
        np.testing.assert_array_equal(found['gt_seg_map'], nearest)


def test_images_are_normalised_as_for_imagenet(config: Config) -> None:
    preprocessor = config.model.data_preprocessor
    assert preprocessor.mean == [123.675, 116.28, 103.53]
    assert preprocessor.std == [58.395, 57.12, 57.375]
    assert preprocessor.bgr_to_rgb and preprocessor.pad_val == 0 and preprocessor.seg_pad_val == 255


def test_segmentor_is_refinenet_on_a_plain_resnet101(config: Config) -> None:
    segmentor = config.model.segmentor
    backbone, head = segmentor.backbone, segmentor.decode_head
    assert (backbone.type, backbone.depth, backbone.style) == ('ResNet', 101, 'pytorch')
    assert (backbone.strides, backbone.dilations) == ((1, 2, 2, 2), (1, 1, 1, 1))
    assert backbone.norm_eval is False  # batch statistics, as in DANNet
    assert (head.type, head.channels, head.num_classes) == ('RefineNetHead', 256, 19)
    assert not {'align_corners', 'dropout_ratio', 'pool_size'} & set(head)  # the paper's defaults
    loss = in_force(WeightedCrossEntropyLoss, head.loss_decode)
    assert (loss['class_weight'], loss['ignore_index'], loss['loss_weight']) == ('balanced', 255, 1)
    assert segmentor.test_cfg.mode == 'whole'


def test_method_settings_in_force(config: Config) -> None:
    model = config.model
    cdc, cds = in_force(CDCLoss, model.loss_cdc), in_force(CDSLoss, model.loss_cds)
    static = in_force(StaticLoss, model.loss_pseudo)
    head = in_force(ProjectionHead, model.projection_head)
    assert cdc == dict(
        loss_weight=2.0,
        attraction_weight=4.0,
        repulsion_weight=1.0,
        js_weight=1.0,
        illumination_weight=1.0,
        inherent_weight=1.0,
        js_tau=1.0,
        js_positions=256,
        cor_reduction='mean',
        cor_pool=1,
        detach_guide=True,
        parallax=0,
    )
    assert cds == dict(loss_weight=1.0, detach=None, gram_form='auto')
    assert static == dict(
        loss_weight=1.0,
        class_weight='balanced',
        gamma=1.0,
        neighborhood=True,
        static_classes=STATIC_CLASSES,
        blend=None,
        reweight='prob',
        num_classes=19,
        ignore_index=255,
        classes=None,
    )
    assert head == dict(
        in_channels=2048,
        hidden_channels=None,
        out_channels=256,
        norm_cfg=None,
        embedding_norm=None,
        shrinkage=0.01,
        init_cfg=None,
    )
    segmentor = in_force(AdaptationSegmentor, {}) | in_force(CCDistillSegmentor, model)
    assert segmentor['share_projection_head'] is True and segmentor['feature'] == 'backbone.-1'
    assert segmentor['distill_into'] == 'both'
    assert segmentor['teacher_mode'] == 'train'
    assert (segmentor['predict_with'], segmentor['test_reweight_std']) == ('night', None)


def test_both_branches_start_from_one_source_only_checkpoint(config: Config) -> None:
    source = Config.fromfile(str(CONFIG.parents[1] / 'refinenet/refinenet_r101_cityscapes.py'))
    assert config.load_from.startswith('work_dirs/refinenet/refinenet_r101_cityscapes/')
    segmentor = source.model.to_dict()
    start = segmentor['backbone'].pop('init_cfg')  # only the source-only stage starts from ImageNet
    assert start['type'] == 'Pretrained' and 'resnet101' in start['checkpoint']
    assert segmentor == config.model.segmentor.to_dict()


def test_source_only_stage() -> None:
    """Cityscapes at 0.5 to 2 times its size, crops of 512, batch 8; tested as the adapted network is."""
    config = Config.fromfile(str(CONFIG.parents[1] / 'refinenet/refinenet_r101_cityscapes.py'))
    steps = {step.type: step for step in config.train_dataloader.dataset.dataset.pipeline}
    assert list(steps) == [
        'LoadImageFromFile',
        'LoadAnnotations',
        'RandomResize',
        'RandomCrop',
        'RandomFlip',
        'PackSegInputs',
    ]
    assert (steps['RandomResize'].scale, steps['RandomResize'].ratio_range) == (
        (2048, 1024),
        (0.5, 2.0),
    )
    assert steps['RandomCrop'].crop_size == (512, 512)
    assert steps['RandomCrop'].cat_max_ratio == 0.75 and steps['RandomFlip'].prob == 0.5
    assert config.train_dataloader.batch_size == 8
    resize = config.test_dataloader.dataset.pipeline[1]
    assert (resize.type, resize.scale, resize.keep_ratio) == ('Resize', (960, 540), True)


def test_dark_zurich_is_tested_at_half_its_size(config: Config) -> None:
    resize = config.test_dataloader.dataset.pipeline[1]
    assert (resize.type, resize.scale, resize.keep_ratio) == ('Resize', (960, 540), True)
    assert config.test_dataloader.batch_size == 1


@pytest.mark.parametrize(
    'path', sorted((CONFIG.parents[1] / 'dannet').glob('*.py')), ids=lambda path: path.stem
)
def test_dannet_resizes_bilinearly_and_its_page_says_so(path: Path) -> None:
    config = Config.fromfile(str(path))
    pipelines = [
        part.pipeline for part in (config.train_dataloader.dataset[k] for k in ('source', 'target'))
    ]
    init_default_scope('mmseg')
    for step in [*pipelines[0], *pipelines[1], *config.test_dataloader.dataset.pipeline]:
        if step.type in ('Resize', 'RandomResize'):
            built = TRANSFORMS.build(step)
            assert getattr(built, 'resize', built).interpolation == 'bilinear'
    page = (CONFIG.parents[2] / 'docs/dannet.md').read_text()
    assert 'bicubic' in page.partition('## What differs from the released code')[2]
