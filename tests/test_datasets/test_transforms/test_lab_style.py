"""The LAB statistics of a random style image on a labelled day image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS, TRANSFORMS

from mmseg_ccdistill.datasets import Draw
from mmseg_ccdistill.datasets.transforms import LABStyle, lab_statistics, lab_transfer
from mmseg_ccdistill.errors import UserInputError


def picture(seed: int, scale: int = 1) -> np.ndarray:
    noise = np.random.RandomState(seed).randint(0, 256, (40, 80, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0) // scale


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    for index in range(3):
        path = tmp_path / f'dusk/A/A_{index}_rgb_anon.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture(10 + index, 4))
    (tmp_path / 'dusk/A/other.jpg').write_bytes(b'')
    return tmp_path / 'dusk'


def test_it_is_the_transfer_of_ccdistill_towards_one_image_of_the_folder(styles: Path) -> None:
    transform = TRANSFORMS.build(
        dict(type='LABStyle', images=str(styles), suffix='_rgb_anon.png', stats='crop')
    )
    np.random.seed(0)
    chosen = np.random.randint(3)
    np.random.seed(0)
    image = picture(1)
    made = transform.transform({'img': image.copy()})['img']
    np.testing.assert_array_equal(made, lab_transfer(image, picture(10 + chosen, 4)))
    assert made.mean() < image.mean() / 2


def test_the_whole_image_counts_by_default(styles: Path) -> None:
    transform = LABStyle(str(styles))
    whole = picture(1)
    crop = whole[:10, :20]
    results = {'img': crop, 'lab_statistics': lab_statistics(whole)}
    np.random.seed(1)
    made = transform.transform(results)['img']
    np.random.seed(1)
    reference = picture(10 + np.random.randint(3), 4)
    expected = lab_transfer(crop, reference, source_stats=lab_statistics(whole))
    np.testing.assert_array_equal(made, expected)
    with pytest.raises(UserInputError, match=r"^LABStyle\(stats='full'\) found no statistics"):
        transform.transform({'img': crop})


def test_all_styles_are_drawn_and_each_file_is_read_once(
    styles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transform = LABStyle(str(styles), stats='crop')
    read: list[str] = []
    fromfile = np.fromfile
    monkeypatch.setattr(
        np, 'fromfile', lambda path, kind: read.append(path) or fromfile(path, kind)
    )
    for _ in range(20):
        transform.transform({'img': picture(1)})
    assert len(read) == len(set(read)) == 3


def test_in_a_dataset_the_style_follows_from_the_draw(styles: Path, tmp_path: Path) -> None:
    for name, image in (('images', picture(1)), ('labels', picture(2)[..., 0] % 19)):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / '0.png'), image)
    steps = [
        dict(type='LoadImageFromFile'),
        dict(type='RecordLABStatistics'),
        dict(type='LABStyle', images=str(styles)),
    ]
    data = dict(
        type='BaseSegDataset', data_root=str(tmp_path), img_suffix='.png', pipeline=steps,
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        metainfo=dict(classes=[str(k) for k in range(19)], palette=[[k] * 3 for k in range(19)]),
    )  # fmt: skip
    dataset = DATASETS.build(dict(type='DrawnDataset', dataset=data))
    images = [dataset[Draw(0, number, 0)]['img'] for number in range(8)]
    np.testing.assert_array_equal(images[3], dataset[Draw(0, 3, 0)]['img'])
    assert any((image != images[0]).any() for image in images)


def test_missing_and_broken_styles_are_one_sentence(styles: Path, tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="stats='all': expected 'crop' or 'full'"):
        LABStyle(str(styles), stats='all')
    with pytest.raises(UserInputError, match="no image that ends in '.png' in the folder .*none'"):
        LABStyle(str(tmp_path / 'none')).check_files()
    for path in styles.rglob('*.png'):
        path.write_bytes(b'no image')
    with pytest.raises(UserInputError, match='The style image .* cannot be read'):
        LABStyle(str(styles), stats='crop').check_files()


def test_a_start_looks_for_the_styles(tmp_path: Path) -> None:
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images/0.png'), picture(1))
    data = dict(
        type='BaseSegDataset', data_root=str(tmp_path), img_suffix='.png', metainfo=dict(classes=()),
        data_prefix=dict(img_path='images'),
        pipeline=[dict(type='LABStyle', images=str(tmp_path / 'none'))],
    )  # fmt: skip
    lazy = DATASETS.build(dict(type='DrawnDataset', dataset=data, lazy_init=True))
    with pytest.raises(UserInputError, match='LABStyle found no image'):
        lazy.full_init()
