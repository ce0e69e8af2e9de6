"""Tiny trees in Cityscapes and Dark Zurich layout, and toy-size configs of the recipe."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

NIGHTS = ('train/night/A/A_frame_000001', 'train/night/A/A_frame_000002', 'train/night/B/B_f_1')
DAYS = ('train/day/C/C_frame_000001', 'train/day/C/C_frame_000001', 'train/day/C/C_frame_000002')


def write(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def picture(seed: int, size: tuple[int, int] = (40, 80)) -> np.ndarray:
    noise = np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)


def make_cityscapes(root: Path, count: int = 5, split: str = 'train') -> Path:
    """Write images of 80x40 pixels with trainId labels and return the root."""
    for index in range(count):
        stem = f'{split}/ulm/ulm_{index:06d}_000019'
        write(root / 'leftImg8bit' / f'{stem}_leftImg8bit.png', picture(index))
        label = np.random.RandomState(index).choice([0, 1, 2, 10, 18, 255], (40, 80))
        write(root / 'gtFine' / f'{stem}_gtFine_labelTrainIds.png', label.astype(np.uint8))
    return root


def make_dark_zurich(root: Path) -> Path:
    """Write three pairs of 96x54 pixels (two nights share a day) with their list."""
    for index, stem in enumerate(NIGHTS):
        write(root / 'rgb_anon' / f'{stem}_rgb_anon.png', picture(100 + index, (54, 96)) // 4)
    for index, stem in enumerate(DAYS):
        write(root / 'rgb_anon' / f'{stem}_rgb_anon.png', picture(200 + index, (54, 96)))
    write_list(root, list(zip(NIGHTS, DAYS, strict=True)))
    return root


def write_list(root: Path, pairs: list[tuple[str, str]]) -> Path:
    """Write the pair list where the dataset looks for it."""
    path = root / 'lists/zurich_dn_pair_train.csv'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(f'{night},{day}\n' for night, day in pairs))
    return path


def source_config(root: Path, crop: int = 32, split: str = 'train', **kwargs: object) -> dict:
    """Method.md's source recipe at toy size."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='RandomResize', scale=(80, 40), ratio_range=(0.9, 1.5), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(crop, crop), cat_max_ratio=1.0),
        dict(type='RandomFlip', prob=0.5),
    ]
    return {
        'type': 'CityscapesDataset',
        'data_root': str(root),
        'data_prefix': dict(img_path=f'leftImg8bit/{split}', seg_map_path=f'gtFine/{split}'),
        'pipeline': pipeline,
        **kwargs,
    }


def target_config(root: Path, crop: int = 48, **kwargs: object) -> dict:
    """Method.md's target recipe at toy size."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResize', scale=(96, 54), ratio_range=(0.9, 1.1), keep_ratio=True),
        dict(type='RandomCrop', crop_size=(crop, crop)),
        dict(type='Resize', scale=(32, 32)),
        dict(type='RandomFlip', prob=0.5),
    ]
    return {
        'type': 'DarkZurichPairDataset',
        'data_root': str(root),
        'pipeline': pipeline,
        **kwargs,
    }


def cross_config(cityscapes: Path, dark_zurich: Path) -> dict:
    """Source and target, LAB transfer and packing."""
    return dict(
        type='CrossDomainDataset',
        source=source_config(cityscapes),
        target=target_config(dark_zurich),
        pipeline=[dict(type='LABTransfer'), dict(type='PackCrossDomainInputs')],
    )
