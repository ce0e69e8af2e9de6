import shutil
from pathlib import Path

import numpy as np
import pytest
from layouts import make_dark_zurich as make_published
from mmseg.registry import DATASETS
from tiny_data import DAYS, NIGHTS, make_dark_zurich, picture, target_config, write, write_list

from mmseg_ccdistill.curation.prepare import TWILIGHT_PAIRS, write_dark_zurich_pairs
from mmseg_ccdistill.datasets import DatasetCheckError
from mmseg_ccdistill.datasets.file_check import check_dataset
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state


@pytest.fixture
def root(tmp_path):
    return make_dark_zurich(tmp_path / 'dark_zurich')


def build(root, **kwargs):
    return DATASETS.build(target_config(root, **kwargs))


def ramps(root: Path) -> None:
    """Make day and night of each pair one and the same (x, y) ramp."""
    y, x = np.mgrid[:54, :96]
    ramp = np.stack([2 * x, 4 * y, x + y], axis=-1).astype(np.uint8)
    for stem in NIGHTS + DAYS:
        write(root / f'rgb_anon/{stem}_rgb_anon.png', ramp)


def test_pairs_have_no_classes_unless_told(root):
    dataset = build(root)
    assert len(dataset) == 3
    assert dataset.metainfo['classes'] == () and list(dataset.metainfo['palette']) == []
    assert dataset.ignore_index == 255
    own = build(root, metainfo=dict(classes=('lane', 'sky'), palette=[[1, 2, 3], [4, 5, 6]]))
    assert own.metainfo['classes'] == ('lane', 'sky') and own.label_map is None


def test_a_sample_holds_both_images_of_the_pair(root):
    dataset = build(root, pipeline=[dict(type='LoadImageFromFile')])
    sample = dataset[1]
    assert set(sample) == {'target_day', 'target_night'}
    assert sample['target_night']['img_path'] == str(root / f'rgb_anon/{NIGHTS[1]}_rgb_anon.png')
    assert sample['target_day']['img_path'] == str(root / f'rgb_anon/{DAYS[1]}_rgb_anon.png')
    np.testing.assert_array_equal(sample['target_day']['img'], picture(201, (54, 96)))
    np.testing.assert_array_equal(sample['target_night']['img'], picture(101, (54, 96)) // 4)
    assert sample['target_day']['sample_idx'] == sample['target_night']['sample_idx'] == 1


def test_a_ramp_stays_identical_through_scale_crop_resize_and_flip(root):
    ramps(root)
    dataset = build(root)
    np.random.seed(0)
    samples = [dataset[i % 3] for i in range(30)]
    for sample in samples:
        day, night = sample['target_day'], sample['target_night']
        assert day['img'].shape == (32, 32, 3)
        np.testing.assert_array_equal(day['img'], night['img'])
        assert day['flip'] == night['flip']
    corners = {tuple(sample['target_day']['img'][0, 0]) for sample in samples}
    assert len(corners) > 15  # the crops do differ from sample to sample
    assert {sample['target_day']['flip'] for sample in samples} == {True, False}


def test_the_ambient_generators_advance_as_for_one_image(root):
    dataset = build(root, pipeline=[dict(type='LoadImageFromFile'), dict(type='RandomDraws')])
    np.random.seed(5)
    sample = dataset[0]
    np.random.seed(5)
    expected = np.random.rand()
    assert sample['target_day']['draw'] == sample['target_night']['draw'] == expected
    after = get_random_state()
    np.random.seed(5)
    dataset[0]
    assert same_random_state(after, get_random_state())


@pytest.fixture(autouse=True, scope='module')
def register_transforms():
    from mmcv.transforms import BaseTransform
    from mmseg.registry import TRANSFORMS

    class RandomDraws(BaseTransform):
        def transform(self, results):
            results['draw'] = np.random.rand()
            return results

    class PixelDraws(BaseTransform):
        """Draw as often as the image is dark."""

        def transform(self, results):
            for _ in range(int(255 - results['img'].mean()) // 10):
                np.random.rand()
            return results

    class Vanish(BaseTransform):
        """Give up on some images, as a pipeline may."""

        def transform(self, results):
            return None if 'A_frame_000001' in results['img_path'] else results

    modules = [RandomDraws, PixelDraws, Vanish]
    for module in modules:
        TRANSFORMS.register_module(module=module)
    yield
    for module in modules:
        TRANSFORMS.module_dict.pop(module.__name__)


def test_draws_that_depend_on_pixels_are_an_error(root):
    dataset = build(root, pipeline=[dict(type='LoadImageFromFile'), dict(type='PixelDraws')])
    with pytest.raises(ValueError, match=r'other random numbers .*C_frame.* than for .*A_frame'):
        dataset[0]


def test_a_pair_of_different_sizes_is_an_error(root):
    write(root / f'rgb_anon/{DAYS[0]}_rgb_anon.png', picture(0, (60, 96)))
    with pytest.raises(ValueError, match=r'ori_shape=\(60, 96\) .*ori_shape=\(54, 96\)'):
        build(root)[0]


def test_a_crop_that_needs_labels_is_refused_at_build(root):
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomCrop', crop_size=(32, 32), cat_max_ratio=0.75),
    ]
    with pytest.raises(ValueError, match='RandomCrop .*cat_max_ratio=0.75: expected 1.0'):
        build(root, pipeline=pipeline)


def test_a_pipeline_that_gives_up_moves_on_to_another_pair(root):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='Vanish')]
    sample = build(root, pipeline=pipeline)[0]
    assert sample['target_night']['sample_idx'] in (1, 2)
    with pytest.raises(Exception, match='None'):
        build(root, pipeline=pipeline, test_mode=True)[0]


def test_packed_samples_are_compared_too(root):
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    sample = build(root, pipeline=pipeline)[2]
    assert sample['target_day']['inputs'].shape == (3, 54, 96)


def test_indices_and_lazy_init(root):
    assert len(build(root, indices=2)) == 2
    lazy = build(root, lazy_init=True)
    assert not lazy._fully_initialized
    lazy.full_init()
    assert len(lazy) == 3


def test_the_pairs_can_come_from_the_folder_that_dark_zurich_ships(root):
    folder = root / 'corresp/train/night/A'
    folder.mkdir(parents=True)
    (folder / 'A_ref_day.csv').write_text(f'{NIGHTS[0]},{DAYS[0]}\n')
    assert len(build(root, ann_file='corresp/train/night')) == 1


def test_an_absolute_list_is_taken_as_it_is(root, tmp_path):
    path = write_list(tmp_path / 'elsewhere', [(NIGHTS[2], DAYS[2])])
    assert len(build(root, ann_file=str(path))) == 1


def test_missing_root_folder_or_list_is_one_plain_error(root, tmp_path):
    with pytest.raises(DatasetCheckError, match=r"data root '.*none' .*holds 'rgb_anon'"):
        build(tmp_path / 'none')
    with pytest.raises(DatasetCheckError, match=r"folder '.*rgb' .*data_prefix\['img_path'\]"):
        build(root, data_prefix=dict(img_path='rgb'))
    with pytest.raises(DatasetCheckError, match=r"list '.*no.csv' .*corresp/train/night"):
        build(root, ann_file='lists/no.csv')
    build(tmp_path / 'none', lazy_init=True)  # nothing is looked at yet


def test_an_empty_list_is_an_error(root):
    write_list(root, [])
    with pytest.raises(DatasetCheckError, match='is empty'):
        build(root)


def test_twilight_comes_in_pairs_with_its_days(tmp_path: Path) -> None:
    """The folder that the set ships, or the list that is made from it."""
    root = make_published(tmp_path / 'dark_zurich')
    write_dark_zurich_pairs(str(root), pairs_of=TWILIGHT_PAIRS)
    pipeline = [dict(type='LoadImageFromFile')]
    for ann_file in ('corresp/train/twilight', TWILIGHT_PAIRS.pair_list):
        dataset = DATASETS.build(
            dict(
                type='DarkZurichPairDataset',
                data_root=str(root),
                ann_file=ann_file,
                pipeline=pipeline,
            )
        )
        assert len(dataset) == 2
        for sample in dataset:
            assert '/train/twilight/' in sample['target_night']['img_path']
            assert '/train/day/' in sample['target_day']['img_path']
    check_dataset(dataset, str(tmp_path))


def test_twilight_without_its_correspondences_is_one_sentence(tmp_path: Path) -> None:
    root = make_published(tmp_path / 'dark_zurich')
    shutil.rmtree(root / 'corresp/train/twilight')
    config = dict(
        type='DarkZurichPairDataset', data_root=str(root), ann_file='corresp/train/twilight', pipeline=[]
    )  # fmt: skip
    with pytest.raises(
        DatasetCheckError, match="corresp/train/twilight' of DarkZurichPairDataset does not exist"
    ):
        DATASETS.build(config)
