"""Pseudo labels of the nights: loaded with the night image alone, moved as it is, refused where they do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from made_labels import CITYSCAPES, make_labels
from mmseg.registry import DATASETS
from tiny_data import NIGHTS, cross_config, make_cityscapes, make_dark_zurich, target_config, write

from mmseg_ccdistill.curation.caching import fill_cache, list_images, prepare_cache
from mmseg_ccdistill.datasets import DatasetCheckError, check_dataset
from mmseg_ccdistill.datasets.file_check import build_dataset
from mmseg_ccdistill.datasets.night_labels import label_path
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.data_preprocessors import CrossDomainPreprocessor
from mmseg_ccdistill.runtime.file_digest import file_digest

SIZE = (96, 54)
NAMES = [f'{stem}_rgb_anon.png' for stem in NIGHTS]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Cityscapes, Dark Zurich and labels of its nights; a checkpoint that has not made them."""
    make_cityscapes(tmp_path / 'cs')
    make_dark_zurich(tmp_path / 'dz')
    (tmp_path / 'stage.pth').write_bytes(b'weights')
    make_labels(tmp_path / 'labels', NAMES, SIZE, checkpoint='0' * 64)
    return tmp_path


def labelled(root: Path, **kwargs: Any) -> dict[str, Any]:
    return target_config(root / 'dz', night_label_dir=str(root / 'labels'), **kwargs)


def test_a_label_moves_with_its_image_and_the_day_has_none(root: Path) -> None:
    """Labels that are a channel of the image stay it through scale, crop, resize and flip; draws are as without."""
    x, y = np.meshgrid(np.arange(96), np.arange(54))
    checks = ((x // 32 + y // 27) % 2 * 200 + 20).astype(np.uint8)  # large squares of two greys
    for name in NAMES:
        write(root / 'dz/rgb_anon' / name, np.repeat(checks[..., None], 3, 2))
        write(Path(label_path(str(root / 'labels'), name)), (checks > 100).astype(np.uint8))
    dataset = build_dataset(labelled(root))
    plain = build_dataset(target_config(root / 'dz'))
    flips = set()
    for seed in range(6):
        np.random.seed(seed)
        sample = dataset[seed % 3]
        after = np.random.rand()
        np.random.seed(seed)
        expected = plain[seed % 3]
        assert after == np.random.rand()
        for domain in ('target_day', 'target_night'):
            np.testing.assert_array_equal(sample[domain]['img'], expected[domain]['img'])
        night = sample['target_night']
        label = night['gt_seg_map']
        assert label.shape == night['img'].shape[:2] == (32, 32)
        assert set(np.unique(label)) == {0, 1}  # nearest: no value between
        assert (
            np.mean(label == (night['img'][..., 0] > 120)) > 0.85
        )  # the image is blurred at the edges
        assert 'gt_seg_map' not in sample['target_day']
        assert 'seg_map_path' not in sample['target_day']
        flips.add(night['flip'])
    assert flips == {True, False}


def test_labels_are_loaded_beside_images_from_a_cache(root: Path) -> None:
    cache = prepare_cache(root / 'dz', root / 'cache', 'png')
    fill_cache(cache, list_images(root / 'dz'))
    config = labelled(root)
    plain = build_dataset(config)
    config['pipeline'][0] = dict(type='LoadCachedImage', cache=str(root / 'cache'))
    cached = build_dataset(config)
    labels = []
    for dataset in (plain, cached):
        np.random.seed(3)
        sample = dataset[1]
        assert 'gt_seg_map' not in sample['target_day']
        labels.append(sample['target_night']['gt_seg_map'])
    np.testing.assert_array_equal(*labels)


def test_a_pipeline_that_loads_no_image_cannot_load_labels(root: Path) -> None:
    config = labelled(root)
    config['pipeline'] = config['pipeline'][1:]
    with pytest.raises(UserInputError) as caught:
        build_dataset(config)
    assert str(caught.value) == (
        'the pipeline of DarkZurichPairDataset loads no image: expected LoadImageFromFile or LoadCachedImage, behind '
        'which the labels of night_label_dir are loaded; add one, or derive your own from it.'
    )


def test_the_batch_holds_labels_of_s_n_and_t_n_padded_with_255(root: Path) -> None:
    config = cross_config(root / 'cs', root / 'dz')
    config['target'] = labelled(root)
    config['domains'] = ('source_night', 'target_night')
    dataset = DATASETS.build(config)
    sample = dataset[0]
    assert list(sample['inputs']) == ['source_night', 'target_night']
    assert all('gt_sem_seg' in packed for packed in sample['data_samples'].values())
    preprocessor = CrossDomainPreprocessor(
        mean=[0.0] * 3, std=[1.0] * 3, size=(40, 40), pad_val=0, seg_pad_val=255
    )
    batch = {key: {d: [part[d]] for d in part} for key, part in sample.items()}
    packed = preprocessor(batch, True)['data_samples']['target_night'][0]
    label = packed.gt_sem_seg.data
    assert label.shape == (1, 40, 40) and label.dtype == torch.int64
    assert (label[:, 32:] == 255).all() and (label[:, :, 32:] == 255).all()
    assert set(label[:, :32, :32].unique().tolist()) <= {0, 2, 10, 13, 255}


def test_classes_are_those_of_the_labels(root: Path) -> None:
    dataset = build_dataset(labelled(root))
    assert list(dataset.metainfo['classes']) == CITYSCAPES['classes']
    assert dataset.metainfo['palette'] == CITYSCAPES['palette']
    check_dataset(dataset, str(root))
    wrong = cv2.imread(label_path(str(root / 'labels'), NAMES[1]), cv2.IMREAD_UNCHANGED)
    write(Path(label_path(str(root / 'labels'), NAMES[1])), np.where(wrong == 2, 33, wrong))
    with pytest.raises(
        DatasetCheckError, match=r'A_frame_000002_rgb_anon\.png.* holds the value.* 33'
    ):
        check_dataset(dataset, str(root))


def test_a_label_of_another_size_is_refused(root: Path) -> None:
    path = Path(label_path(str(root / 'labels'), NAMES[2]))
    write(path, np.zeros((27, 48), np.uint8))
    with pytest.raises(DatasetCheckError) as caught:
        check_dataset(build_dataset(labelled(root)), str(root))
    assert str(caught.value).startswith(
        f'The label {str(path)!r} has 48x27 pixels, but its image '
        f'{str(root / "dz/rgb_anon" / NAMES[2])!r} has 96x54: expected equal sizes; '
    )


def test_labels_of_other_classes_meet_no_source(root: Path) -> None:
    classes = [*CITYSCAPES['classes'][:-1], 'tricycle']
    make_labels(root / 'own', NAMES, SIZE, classes=classes)
    config = cross_config(root / 'cs', root / 'dz')
    config['target'] = target_config(root / 'dz', night_label_dir=str(root / 'own'))
    with pytest.raises(
        DatasetCheckError, match="only in source: 'bicycle', only in target: 'tricycle'"
    ):
        DATASETS.build(config)
    named = target_config(root / 'dz', night_label_dir=str(root / 'own'), metainfo=CITYSCAPES)
    with pytest.raises(DatasetCheckError) as caught:
        build_dataset(named)
    assert str(caught.value) == (
        f"The pseudo labels in {str(root / 'own')!r} have other classes (only in the data set: 'bicycle', only in the "
        "labels: 'tricycle'): expected the same names in the same order; make labels with tools/pseudo_label.py, or "
        'correct night_label_dir.'
    )


def _manifest(root: Path, **changes: Any) -> None:
    path = root / 'labels/manifest.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _other_list(root: Path, rows: list[str]) -> None:
    (root / 'dz/lists/zurich_dn_pair_train.csv').write_text('\n'.join(rows))


REMAKE = 'make labels with tools/pseudo_label.py, or correct night_label_dir.'
PAIR = f'{NIGHTS[0]},train/day/C/C_frame_000001'


@pytest.mark.parametrize(
    ('spoil', 'options', 'sentence'),
    [
        (
            lambda root: (root / 'labels').rename(root / 'moved'),
            {},
            "The folder '{root}/labels' of pseudo labels does not exist: expected the labels of all images; "
            f'{REMAKE}',
        ),
        (
            lambda root: (root / 'labels/manifest.json').unlink(),
            {},
            "'{root}/labels/manifest.json' is no manifest of pseudo labels (there is no such file): expected one of "
            f'format 1; {REMAKE}',
        ),
        (
            lambda root: _manifest(root, format=2),
            {},
            "'{root}/labels/manifest.json' is no manifest of pseudo labels (its format is 2): expected one of format "
            f'1; {REMAKE}',
        ),
        (
            lambda root: _manifest(root, finished=False),
            {},
            "The pseudo labels in '{root}/labels' are not finished: expected the labels of all images; give the "
            'command of tools/pseudo_label.py again, it goes on where it stopped.',
        ),
        (
            lambda root: _other_list(root, [PAIR]),
            {},
            "The pseudo labels in '{root}/labels' are of another list: there is a label for "
            "'train/night/A/A_frame_000002_rgb_anon.png', which the list '{root}/dz/lists/zurich_dn_pair_train.csv' "
            f'does not name; expected labels of exactly these images; {REMAKE}',
        ),
        (
            lambda root: _other_list(
                root, [PAIR, 'train/night/B/B_f_2,train/day/C/C_frame_000001']
            ),
            {},
            "The pseudo labels in '{root}/labels' are of another list: there is no label for "
            "'train/night/B/B_f_2_rgb_anon.png', which the list '{root}/dz/lists/zurich_dn_pair_train.csv' names; "
            f'expected labels of exactly these images; {REMAKE}',
        ),
        (
            lambda root: Path(label_path(str(root / 'labels'), NAMES[1])).unlink(),
            {},
            "The pseudo label '{root}/labels/train/night/A/A_frame_000002_rgb_anon.png' is missing: expected every "
            "label of the manifest beside it; remove '{root}/labels/manifest.json' and its folder and label again.",
        ),
        (
            lambda root: None,
            dict(night_labels_of='{root}/stage.pth'),
            "The pseudo labels in '{root}/labels' were made by another checkpoint than '{root}/stage.pth': expected "
            'labels of the stage before; make them anew in another folder, or correct night_labels_of.',
        ),
        (
            lambda root: None,
            dict(night_labels_of='{root}/gone.pth'),
            "night_labels_of names the checkpoint '{root}/gone.pth', which does not exist: expected the one that made "
            "the labels in '{root}/labels'; correct it, or set night_labels_of=None to take them from any.",
        ),
    ],
)
def test_labels_that_do_not_fit(
    root: Path, spoil: Callable[[Path], object], options: dict[str, str], sentence: str
) -> None:
    build_dataset(labelled(root))
    spoil(root)
    given = {key: value.format(root=root) for key, value in options.items()}
    with pytest.raises(DatasetCheckError) as caught:
        build_dataset(labelled(root, **given))
    assert str(caught.value) == sentence.format(root=root)


def test_the_checkpoint_that_made_the_labels_is_known_by_its_content(root: Path) -> None:
    stage = root / 'stage.pth'
    _manifest(root, settings={**CITYSCAPES, 'checkpoint': file_digest(stage)})
    build_dataset(labelled(root, night_labels_of=str(stage)))


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (
            dict(night_labels_of='stage.pth'),
            'night_labels_of of DarkZurichPairDataset is set and night_label_dir is not: expected the folder of the '
            'labels that this checkpoint made; set night_label_dir, or take night_labels_of out.',
        ),
        (
            dict(
                night_label_dir='labels',
                pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
            ),
            'the pipeline of DarkZurichPairDataset holds LoadAnnotations: expected none beside night_label_dir, which '
            'loads the labels of the night and none of the day; take it out.',
        ),
    ],
)
def test_settings_that_contradict_each_other(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserInputError) as caught:
        DATASETS.build({**target_config(Path('dz')), **options, 'lazy_init': True})
    assert str(caught.value) == sentence
