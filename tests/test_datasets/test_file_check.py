import io
import os
import time
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest
from mmengine.dataset import ConcatDataset, RepeatDataset
from mmseg.datasets import CityscapesDataset
from mmseg.registry import DATASETS
from PIL import Image
from rich.console import Console
from tiny_data import (
    DAYS,
    NIGHTS,
    cross_config,
    make_cityscapes,
    make_dark_zurich,
    picture,
    source_config,
    target_config,
    write,
    write_list,
)
from torch.utils.data import Subset

from mmseg_ccdistill.curation.caching import fill_cache, list_images, prepare_cache
from mmseg_ccdistill.datasets import DatasetCheckError, check_dataset, file_scan
from mmseg_ccdistill.datasets.file_check import build_dataset, leaf_datasets
from mmseg_ccdistill.datasets.image_facts import read_facts, read_stamp
from mmseg_ccdistill.datasets.manifest import MANIFEST_NAME, Manifest

IMAGE = 'leftImg8bit/train/ulm/ulm_000002_000019_leftImg8bit.png'
LABEL = 'gtFine/train/ulm/ulm_000002_000019_gtFine_labelTrainIds.png'


@pytest.fixture
def cityscapes(tmp_path):
    return make_cityscapes(tmp_path / 'cityscapes')


@pytest.fixture
def dark_zurich(tmp_path):
    return make_dark_zurich(tmp_path / 'dark_zurich')


@pytest.fixture
def opened(monkeypatch):
    """List of the files that were opened by the scan."""
    paths = []
    original = file_scan.read_facts

    def spy(path, with_values):
        paths.append(path)
        return original(path, with_values)

    monkeypatch.setattr(file_scan, 'read_facts', spy)
    return paths


def source(root, **kwargs):
    return build_dataset(source_config(root, **kwargs))


def error_of(dataset) -> str:
    with pytest.raises(DatasetCheckError) as info:
        check_dataset(dataset)
    message = str(info.value)
    assert '\n' not in message and ': expected' in message
    return message


def test_good_data_pass(cityscapes, dark_zurich):
    check_dataset(DATASETS.build(cross_config(cityscapes, dark_zurich)))


def test_a_second_start_opens_nothing(cityscapes, dark_zurich, opened):
    config = cross_config(cityscapes, dark_zurich)
    check_dataset(DATASETS.build(config))
    assert len(opened) == 5 * 2 + 3 + 2  # two nights share a day
    assert (cityscapes / MANIFEST_NAME).is_file() and (dark_zurich / MANIFEST_NAME).is_file()
    opened.clear()
    check_dataset(DATASETS.build(config))
    assert opened == []


def test_a_changed_file_is_opened_again(cityscapes, opened):
    dataset = source(cityscapes)
    check_dataset(dataset)
    opened.clear()
    write(cityscapes / LABEL, np.full((40, 80), 23, np.uint8))
    os.utime(cityscapes / LABEL, ns=(1, 1))
    assert '23' in error_of(dataset)
    assert opened == [str(cityscapes / LABEL)]
    error_of(dataset)  # the verdict comes from the manifest now, and is the same
    assert len(opened) == 1


def test_a_new_modification_time_alone_is_noticed(cityscapes, opened):
    dataset = source(cityscapes)
    check_dataset(dataset)
    opened.clear()
    os.utime(cityscapes / IMAGE, ns=(5, 5))
    check_dataset(dataset)
    assert opened == [str(cityscapes / IMAGE)]


def test_the_manifest_moves_with_the_data(cityscapes, tmp_path, opened):
    check_dataset(source(cityscapes))
    cityscapes.rename(tmp_path / 'moved')
    opened.clear()
    check_dataset(source(tmp_path / 'moved'))
    assert opened == []


@pytest.mark.parametrize(
    'content', ['', '{', '[]', '{"version": 0, "files": {}}', '{"version": 1, "files": {"a": 1}}']
)
def test_a_foreign_manifest_is_replaced(cityscapes, content):
    (cityscapes / MANIFEST_NAME).write_text(content)
    check_dataset(source(cityscapes))
    path = str(cityscapes / LABEL)
    facts = Manifest(str(cityscapes)).get(path, read_stamp(path), True)
    assert (facts.width, facts.height, facts.values) == (80, 40, (0, 1, 2, 10, 18, 255))


def test_malformed_entries_are_read_again(cityscapes):
    stamp = read_stamp(str(cityscapes / IMAGE))
    manifest = Manifest(str(cityscapes))
    manifest._entries = {IMAGE: [*stamp, 1]}
    assert manifest.get(str(cityscapes / IMAGE), stamp, False) is None


def test_a_folder_for_manifests_can_be_given(cityscapes, tmp_path):
    check_dataset(source(cityscapes), manifest_dir=str(tmp_path / 'here'))
    assert len(list((tmp_path / 'here').iterdir())) == 1
    assert not (cityscapes / MANIFEST_NAME).exists()


def test_a_manifest_that_cannot_be_written_is_no_error(cityscapes, tmp_path):
    (tmp_path / 'file').write_text('')
    check_dataset(source(cityscapes), manifest_dir=str(tmp_path / 'file'))


def test_a_missing_label_is_named(cityscapes):
    dataset = source(cityscapes)
    (cityscapes / LABEL).unlink()
    message = error_of(dataset)
    assert str(cityscapes / LABEL) in message and 'seg_map_suffix' in message


def test_missing_train_ids_beside_label_ids_say_convert(cityscapes):
    dataset = source(cityscapes)
    label = cityscapes / LABEL
    label.rename(label.with_name(label.name.replace('labelTrainIds', 'labelIds')))
    assert 'convert the labelIds beside it' in error_of(dataset)


def test_all_labels_missing_are_counted(cityscapes):
    dataset = source(cityscapes, seg_map_suffix='_labels.png')
    assert '4 more of this kind' in error_of(dataset)


def test_label_ids_are_recognised(cityscapes):
    write(cityscapes / LABEL, np.random.RandomState(0).choice([7, 11, 21, 23, 26], (40, 80)))
    message = error_of(source(cityscapes))
    assert str(cityscapes / LABEL) in message
    assert '21, 23, 26, which look like labelIds' in message
    assert 'class ids 0..18 and 255' in message and 'labelTrainIds' in message


def test_other_values_are_named_without_guessing(cityscapes):
    write(cityscapes / LABEL, np.random.RandomState(0).choice([0, 100, 200], (40, 80)))
    message = error_of(source(cityscapes))
    assert '100, 200:' in message and 'labelIds' not in message


def test_values_of_a_palette_label_are_its_indices(cityscapes):
    image = Image.fromarray(np.full((40, 80), 18, np.uint8))
    image.putpalette([200, 10, 10] * 256)
    image.save(cityscapes / LABEL)
    assert read_facts(str(cityscapes / LABEL), True).values == (18,)


def test_sixteen_bit_labels_are_read_as_they_are(cityscapes):
    write(cityscapes / LABEL, np.full((40, 80), 300, np.uint16))
    assert '300' in error_of(source(cityscapes))


def test_a_colour_label_is_named(cityscapes):
    write(cityscapes / LABEL, picture(0))
    message = error_of(source(cityscapes))
    assert str(cityscapes / LABEL) in message and 'colour image (mode RGB)' in message


def test_a_choice_of_classes_is_checked_against_the_ids_on_disk(cityscapes):
    metainfo = dict(classes=('road', 'sidewalk'), palette=[[0, 0, 0], [1, 1, 1]])
    check_dataset(source(cityscapes, metainfo=metainfo))  # 18 is mapped to ignore


def test_ignore_index_and_zero_label_change_what_is_allowed(cityscapes):
    assert '255' in error_of(source(cityscapes, ignore_index=254))
    write(cityscapes / LABEL, np.full((40, 80), 19, np.uint8))
    check_dataset(source(cityscapes, reduce_zero_label=True))
    assert '19' in error_of(source(cityscapes))


def test_a_label_of_another_size_is_named_with_its_image(cityscapes):
    write(cityscapes / LABEL, np.zeros((20, 40), np.uint8))
    message = error_of(source(cityscapes))
    assert f"'{cityscapes / LABEL}' has 40x20 pixels" in message
    assert f"'{cityscapes / IMAGE}' has 80x40" in message


@pytest.mark.parametrize('content', [b'', b'<html>404</html>', b'\x89PNG\r\n\x1a\n'])
def test_a_file_without_image_header_is_named(cityscapes, content):
    (cityscapes / IMAGE).write_bytes(content)
    message = error_of(source(cityscapes))
    assert f"'{cityscapes / IMAGE}' cannot be read" in message


@pytest.mark.parametrize('name', [IMAGE, LABEL])
def test_a_truncated_png_is_named(cityscapes, name):
    content = (cityscapes / name).read_bytes()
    (cityscapes / name).write_bytes(content[: len(content) // 2])
    assert f"'{cityscapes / name}' cannot be read" in error_of(source(cityscapes))


def test_a_png_with_trailing_bytes_is_fine(cityscapes):
    (cityscapes / IMAGE).write_bytes((cityscapes / IMAGE).read_bytes() + b'\0' * 5000)
    check_dataset(source(cityscapes))


def test_jpeg_headers_are_read(tmp_path):
    path = write(tmp_path / 'a.jpg', picture(0, (30, 50)))
    assert read_facts(str(path), False)[:2] == (50, 30)


def test_a_missing_day_image_is_named_with_its_pair(dark_zurich):
    dataset = build_dataset(target_config(dark_zurich))
    (dark_zurich / f'rgb_anon/{DAYS[2]}_rgb_anon.png').unlink()
    message = error_of(dataset)
    assert f'{DAYS[2]}_rgb_anon.png' in message and f'{NIGHTS[2]}_rgb_anon.png' in message
    assert 'zurich_dn_pair_train.csv' in message and 'take the pair out' in message


def test_a_missing_night_image_is_named_with_its_list(dark_zurich):
    write_list(dark_zurich, [('train/night/A/none', DAYS[0]), (NIGHTS[0], DAYS[0])])
    message = error_of(build_dataset(target_config(dark_zurich)))
    assert 'train/night/A/none_rgb_anon.png' in message and 'line' in message


def test_a_pair_of_two_sizes_is_named(dark_zurich):
    write(dark_zurich / f'rgb_anon/{DAYS[2]}_rgb_anon.png', picture(0, (50, 90)))
    message = error_of(build_dataset(target_config(dark_zurich)))
    assert 'day image' in message and '90x50' in message and '96x54' in message


def test_faults_inside_wrappers_are_found(cityscapes, dark_zurich):
    dataset = DATASETS.build(cross_config(cityscapes, dark_zurich))
    day = dark_zurich / f'rgb_anon/{DAYS[2]}_rgb_anon.png'
    day.unlink()
    assert str(day) in error_of(dataset)


def test_wrappers_are_looked_through(cityscapes):
    inner = source(cityscapes)
    concatenated = ConcatDataset([inner, RepeatDataset(source(cityscapes), 3).dataset])
    assert list(leaf_datasets(concatenated)) == concatenated.datasets
    assert list(leaf_datasets(RepeatDataset(inner, 3))) == [inner]
    assert list(leaf_datasets(Subset(inner, [0]))) == [inner]


def test_a_lazy_dataset_is_initialised(cityscapes):
    dataset = DATASETS.build(source_config(cityscapes, lazy_init=True))
    check_dataset(dataset)
    assert len(dataset) == 5


def test_unlabelled_and_foreign_datasets_are_left_alone(cityscapes):
    config = source_config(cityscapes)
    del config['data_prefix']['seg_map_path']
    (cityscapes / LABEL).unlink()
    check_dataset(build_dataset(config))
    check_dataset([1, 2, 3])


def test_a_missing_root_or_folder_is_named(cityscapes, tmp_path):
    with pytest.raises(DatasetCheckError, match=r"data root '.*gone'.*'leftImg8bit/train'"):
        source(tmp_path / 'gone')
    with pytest.raises(DatasetCheckError, match=r"leftImg8bit/val'.*data_prefix\['img_path'\]"):
        source(cityscapes, split='val')


def test_an_empty_split_is_named(cityscapes):
    with pytest.raises(DatasetCheckError, match=r"end in '.jpg', but found for example 'ulm"):
        source(cityscapes, img_suffix='.jpg')
    (cityscapes / 'leftImg8bit/test').mkdir()
    (cityscapes / 'gtFine/test').mkdir()
    with pytest.raises(DatasetCheckError, match='found no file'):
        source(cityscapes, split='test')
    (cityscapes / 'list.txt').write_text('')
    with pytest.raises(DatasetCheckError, match=r"list.txt' .* is empty"):
        source(cityscapes, ann_file='list.txt')
    with pytest.raises(DatasetCheckError, match=r"none.txt' .*does not exist"):
        source(cityscapes, ann_file='none.txt')


def test_other_errors_of_a_dataset_pass_through(cityscapes):
    class Picky(CityscapesDataset):
        def load_data_list(self):
            raise ValueError('no luck today')

    with pytest.raises(ValueError, match='no luck today') as info:
        build_dataset({**source_config(cityscapes), 'type': Picky})
    assert not isinstance(info.value, DatasetCheckError)


def test_progress_is_logged_where_there_is_no_terminal(cityscapes, monkeypatch):
    lines = []
    monkeypatch.setattr(file_scan, '_LOG_SECONDS', 0.0)
    monkeypatch.setattr(file_scan, 'print_log', lambda text, **kwargs: lines.append(text))
    check_dataset(source(cityscapes))
    assert any(line.startswith('Reading the files of CityscapesDataset: 10/10') for line in lines)


def test_progress_is_a_bar_on_a_terminal(cityscapes, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(file_scan, 'Console', lambda **kwargs: console)
    check_dataset(source(cityscapes))
    assert 'Reading the files of CityscapesDataset' in screen.getvalue()


def test_a_disk_that_fills_up_leaves_no_half_manifest(cityscapes, monkeypatch):
    def full(*_):
        raise OSError('no space left')

    monkeypatch.setattr(os, 'replace', full)
    check_dataset(source(cityscapes))
    assert {path.name for path in cityscapes.iterdir()} == {'leftImg8bit', 'gtFine'}


def test_without_classes_label_values_are_not_judged(cityscapes):
    write(cityscapes / LABEL, np.full((40, 80), 200, np.uint8))
    config = {**source_config(cityscapes), 'type': 'BaseSegDataset'}
    suffixes = dict(img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png')
    check_dataset(build_dataset({**config, **suffixes}))


def test_the_error_of_a_pair_list_reaches_the_user(dark_zurich):
    write_list(dark_zurich, [('a', '')])
    with pytest.raises(DatasetCheckError, match='Line 1 of the pair list'):
        build_dataset(target_config(dark_zurich))


@pytest.mark.slow
def test_a_warm_start_of_the_papers_data_takes_less_than_ten_seconds(tmp_path, opened):
    """As many files as Cityscapes train (2975 + labels) and the Dark Zurich pairs (2416 + 1426)."""
    cityscapes, dark_zurich = make_cityscapes(tmp_path / 'c', 1), tmp_path / 'd'
    stems = [f'train/ulm/ulm_{index:06d}_000019' for index in range(2975)]
    for stem in stems[1:]:
        for name in (IMAGE, LABEL):
            first = cityscapes / name.replace('000002', '000000')
            other = first.with_name(first.name.replace('ulm_000000_000019', Path(stem).name))
            os.link(first, other)
    night = write(dark_zurich / 'rgb_anon/n/first_rgb_anon.png', picture(0))
    for index in range(2416):
        os.link(night, dark_zurich / f'rgb_anon/n/{index}_rgb_anon.png')
    (dark_zurich / 'rgb_anon/d').mkdir()
    for index in range(1426):
        os.link(night, dark_zurich / f'rgb_anon/d/{index}_rgb_anon.png')
    write_list(dark_zurich, [(f'n/{index}', f'd/{index % 1426}') for index in range(2416)])
    config = cross_config(cityscapes, dark_zurich)
    check_dataset(DATASETS.build(config))
    assert len(opened) == 2 * 2975 + 2416 + 1426
    opened.clear()
    start = time.perf_counter()
    check_dataset(DATASETS.build(config))
    assert time.perf_counter() - start < 10
    assert opened == []


def test_label_values_are_those_that_pillow_reads(tmp_path):
    label = np.random.RandomState(0).choice([0, 5, 18, 255], (33, 47)).astype(np.uint8)
    path = write(tmp_path / 'label.png', label)
    assert read_facts(str(path), True).values == tuple(np.unique(Image.open(path)))


def test_a_folder_that_is_none_is_named_before_mmengine_joins_it(cityscapes) -> None:
    prefix = dict(img_path='leftImg8bit/train', seg_map_path=None)
    with pytest.raises(DatasetCheckError) as raised:
        build_dataset(source_config(cityscapes, data_prefix=prefix))
    assert str(raised.value) == (
        'data_prefix.seg_map_path is None: expected the name of a folder; for a dataset without it leave '
        'seg_map_path out (on the command line: data_prefix._delete_=True and the other folders again).'
    )


def cached(root, names, **kwargs):
    """The targets of the recipe, loaded from a cache of some images."""
    cache = prepare_cache(root, root.parent / 'cache', 'png')
    fill_cache(cache, names)
    config = target_config(root, **kwargs)
    config['pipeline'][0] = dict(type='LoadCachedImage', cache=str(cache.folder))
    return config


def test_images_that_are_not_in_the_cache_are_named_at_the_start(dark_zurich):
    names = list_images(dark_zurich)
    check_dataset(build_dataset(cached(dark_zurich, names)))
    for start, more in (('night', ' (1 more of this kind.)'), ('day', '')):
        rmtree(dark_zurich.parent / 'cache')
        left_out = [name for name in names if f'/{start}/A' in name or f'/{start}/C' in name]
        kept = [name for name in names if name not in left_out[: 2 if more else 1]]
        config = cached(dark_zurich, kept)
        with pytest.raises(DatasetCheckError) as caught:
            check_dataset(build_dataset(config))
        cache = dark_zurich.parent / 'cache'
        assert str(caught.value) == (
            f'{dark_zurich / left_out[0]} is not in the cache {cache} of {dark_zurich}: expected every image of the '
            f'data set; run tools/dataset_converters/cache.py again, for grey photos with --grey{more}'
        )
    check_dataset(build_dataset({**config, 'domains': ('target_night',)}))  # the day is not read


def test_files_that_are_others_than_those_of_the_cache_are_named_at_the_start(dark_zurich):
    config = cached(dark_zurich, list_images(dark_zurich))
    day = dark_zurich / f'rgb_anon/{DAYS[0]}_rgb_anon.png'
    write(day, picture(7, (54, 96)))
    with pytest.raises(DatasetCheckError, match=f'^{day} has .* bytes, the cache .*: make the'):
        check_dataset(build_dataset(config))
