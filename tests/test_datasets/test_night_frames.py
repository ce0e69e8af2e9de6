"""Night frames of any set: layout from the published facts, reference frames by name."""

from __future__ import annotations

import pytest

from mmseg_ccdistill.datasets import ACDCNightDataset, DarkZurichNightDataset
from mmseg_ccdistill.datasets.night_frames import NightFramesDataset, is_reference_frame


@pytest.mark.parametrize(
    ('path', 'expected'),
    [
        ('rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_rgb_anon.png', False),
        ('rgb_anon/val_ref/day/GOPR0356_ref/GOPR0356_frame_000321_ref_rgb_anon.png', True),
        ('rgb_anon/test_ref/day/GOPR0364_ref/GOPR0364_frame_000001_rgb_anon.png', True),
        ('night/GOPR0356_frame_000321_ref_rgb_anon.png', True),
        ('rgb_anon/night/val_ref/GOPR0356/GOPR0356_frame_000321_rgb_ref_anon.png', True),
        ('gt/night/val_ref/GOPR0356/GOPR0356_frame_000321_gt_ref_labelTrainIds.png', True),
        ('rgb_anon/night/val/GOPR0356/GOPR0356_frame_000321_rgb_anon.png', False),
        ('reference_run/preferred_rgb_anon.png', False),
    ],
)
def test_reference_frames_are_told_by_folder_and_name(path, expected) -> None:
    assert is_reference_frame(path) is expected


@pytest.mark.parametrize(
    ('kind', 'split', 'prefix'),
    [
        (
            DarkZurichNightDataset,
            'val',
            dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),
        ),
        (DarkZurichNightDataset, 'train', dict(img_path='rgb_anon/train/night')),
        (DarkZurichNightDataset, 'test', dict(img_path='rgb_anon/test/night')),
        (
            ACDCNightDataset,
            'train',
            dict(img_path='rgb_anon/night/train', seg_map_path='gt/night/train'),
        ),
        (
            ACDCNightDataset,
            'val',
            dict(img_path='rgb_anon/night/val', seg_map_path='gt/night/val'),
        ),
        (ACDCNightDataset, 'test', dict(img_path='rgb_anon/night/test')),
    ],
)
def test_folders_and_suffixes_are_the_published_ones(
    kind: type[NightFramesDataset], split: str, prefix: dict
) -> None:
    dataset = kind(split=split, lazy_init=True)
    assert {key: folder for key, folder in dataset.data_prefix.items() if folder} == prefix
    assert dataset.img_suffix == '_rgb_anon.png'
    assert dataset.seg_map_suffix == '_gt_labelTrainIds.png'
