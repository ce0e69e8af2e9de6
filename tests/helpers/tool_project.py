"""A project on disk for tests of the tools: images, a CCDistill and a source-only config, checkpoints."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from mmseg_ccdistill import __version__
from mmseg_ccdistill.runtime.command_line import run_main

ROOT = Path(__file__).resolve().parents[2]

#: Width and height of every image; what the configs train on, and what they resize to for a test.
SIZE, CROP, TEST_SIZE = (96, 64), 64, (48, 32)

NIGHTS = ('train/night/A/A_1', 'train/night/A/A_2', 'train/night/B/B_1')
DAYS = ('train/day/C/C_1', 'train/day/C/C_1', 'train/day/C/C_2')
VAL_STEMS = tuple(f'GOPR0356/GOPR0356_frame_{i:06d}' for i in (321, 324, 327))
TEST_STEMS = ('GOPR0364/GOPR0364_frame_000001', 'GOPR0364/GOPR0364_frame_000011',
              'GP010364/GP010364_frame_000009')  # fmt: skip

_CONFIG = """
custom_imports = dict(imports=['mmseg_ccdistill'], allow_failed_imports=False)
default_scope = 'mmseg'
randomness = dict(seed=3)
preprocessor = dict(type='SegDataPreProcessor', mean=[127.5] * 3, std=[60.0] * 3,
                    bgr_to_rgb=True, size=({crop}, {crop}))
segmentor = dict(
    type='EncoderDecoder',
    data_preprocessor=preprocessor,
    backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8, style='pytorch',
                  norm_cfg=dict(type='BN')),
    decode_head=dict(type='RefineNetHead', in_channels=[8, 16, 32, 64], in_index=[0, 1, 2, 3],
                     channels=8, block_channels=(16, 8, 8, 8), num_classes=19,
                     loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced')),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
source = dict(
    type='CityscapesDataset',
    data_root='data/cityscapes',
    data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
    pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
              dict(type='RandomCrop', crop_size=({crop}, {crop})),
              dict(type='RandomFlip', prob=0.5)],
)
test_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='DarkZurichDataset',
        data_root='data/dark_zurich',
        data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
        pipeline=[dict(type='LoadImageFromFile'),
                  dict(type='Resize', scale={test_size}, keep_ratio=True),
                  dict(type='LoadAnnotations'), dict(type='PackSegInputs')],
    ),
)
"""
_SOURCE_ONLY = """
model = segmentor
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(source, pipeline=[*source['pipeline'], dict(type='PackSegInputs')]),
)
"""
_CCDISTILL = """
model = dict(
    type='CCDistillSegmentor',
    data_preprocessor=dict(preprocessor, type='CrossDomainPreprocessor'),
    segmentor=segmentor,
    projection_head=dict(type='ProjectionHead', in_channels=64, out_channels=16),
    loss_cdc=dict(type='CDCLoss'),
    loss_cds=dict(type='CDSLoss'),
    loss_pseudo=dict(type='StaticLoss'),
)
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DrawSampler'),
    dataset=dict(
        type='CrossDomainDataset',
        source=source,
        target=dict(
            type='DarkZurichPairDataset',
            data_root='data/dark_zurich',
            pipeline=[dict(type='LoadImageFromFile'),
                      dict(type='RandomCrop', crop_size=({crop}, {crop})),
                      dict(type='RandomFlip', prob=0.5)],
        ),
        pipeline=[dict(type='LABTransfer'), dict(type='PackCrossDomainInputs')],
    ),
)
"""


def load_tool(path: str) -> ModuleType:
    """Import a tool by its path below the repository."""
    name = path.replace('/', '_').removesuffix('.py')
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_tool(tool: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run a tool as its command line does and return the exit code."""
    monkeypatch.setattr(sys, 'argv', [str(tool.__file__), *map(str, arguments)])
    return run_main(tool.main)


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence of a tool that refused its input."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert len(lines) == 1
    return lines[0].removeprefix('error: ')


def photo(seed: int) -> np.ndarray:
    """A smooth random picture, BGR uint8, of more colours than a label map."""
    noise = np.random.RandomState(seed).randint(0, 256, (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (7, 7), 0)


def stripes() -> np.ndarray:
    """Labels: road, building, sky, car and ignored in vertical stripes."""
    return np.repeat(np.array([0, 2, 10, 13, 255], np.uint8), 20)[None, : SIZE[0]].repeat(
        SIZE[1], axis=0
    )


def _write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def save_checkpoint(path: Path, state: dict, **more: object) -> str:
    """Write a checkpoint of this package, and return its path."""
    meta = {'mmseg_ccdistill_version': __version__}
    torch.save({'state_dict': state, 'meta': meta, **more}, path)
    return str(path)


def make_project(root: Path) -> Path:
    """Write data/, tiny.py (CCDistill), source.py (source-only) and a checkpoint of each."""
    for i in range(3):
        stem = f'train/ulm/ulm_{i:06d}_000019'
        _write(root / f'data/cityscapes/leftImg8bit/{stem}_leftImg8bit.png', photo(i))
        _write(root / f'data/cityscapes/gtFine/{stem}_gtFine_labelTrainIds.png', stripes())
    night = root / 'data/dark_zurich'
    frames = [*NIGHTS, *DAYS, *(f'val/night/{s}' for s in VAL_STEMS)]
    for i, stem in enumerate([*frames, *(f'test/night/{s}' for s in TEST_STEMS)]):
        _write(night / f'rgb_anon/{stem}_rgb_anon.png', photo(100 + i))
    for stem in VAL_STEMS:
        _write(night / f'gt/val/night/{stem}_gt_labelTrainIds.png', stripes())
    (night / 'lists').mkdir()
    pairs = [f'{a},{b}\n' for a, b in zip(NIGHTS, DAYS, strict=True)]
    (night / 'lists/zurich_dn_pair_train.csv').write_text(''.join(pairs))
    init_default_scope('mmseg')
    for name, text in (('tiny', _CCDISTILL), ('source', _SOURCE_ONLY)):
        config = (_CONFIG + text).format(crop=CROP, test_size=TEST_SIZE)
        (root / f'{name}.py').write_text(config)
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(str(root / f'{name}.py')).model)
        model.init_weights()
        save_checkpoint(root / f'{name}.pth', model.state_dict())
    return root
