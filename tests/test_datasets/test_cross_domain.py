import random
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import ConcatDataset
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, TRANSFORMS
from tiny_data import (
    DAYS,
    cross_config,
    make_cityscapes,
    make_dark_zurich,
    source_config,
    target_config,
    write,
)

from mmseg_ccdistill.datasets import (
    CrossDomainDataset,
    DatasetCheckError,
    Draw,
    DrawSampler,
    draw_sampler,
    file_check,
)
from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state


@pytest.fixture
def roots(tmp_path):
    return make_cityscapes(tmp_path / 'cityscapes'), make_dark_zurich(tmp_path / 'dark_zurich')


@pytest.fixture
def dataset(roots):
    return DATASETS.build(cross_config(*roots))


def fingerprint(sample: dict) -> list:
    """Everything of a sample that a network could see."""
    parts = []
    for domain in DOMAINS:
        data = sample['data_samples'][domain]
        parts += [data.metainfo['img_path'], sample['inputs'][domain].numpy().tobytes()]
        if 'gt_sem_seg' in data:
            parts.append(data.gt_sem_seg.data.numpy().tobytes())
    return parts


def unpack(batch: dict) -> list[dict]:
    size = len(batch['inputs'][DOMAINS[0]])
    return [
        {key: {domain: batch[key][domain][i] for domain in DOMAINS} for key in batch}
        for i in range(size)
    ]


def load(config: dict, count: int, workers: int = 0, seed: int = 9, **sampler: int) -> list[list]:
    loader = Runner.build_dataloader(
        dict(
            dataset=config,
            sampler=dict(type='DrawSampler', **sampler),
            batch_size=2,
            num_workers=workers,
            collate_fn=dict(type='pseudo_collate'),
        ),
        seed=seed,
    )
    batches = islice(loader, -(-count // 2))
    return [fingerprint(sample) for batch in batches for sample in unpack(batch)][:count]


def test_a_sample_has_the_four_domains(dataset):
    sample = dataset[Draw(3, 0, 0)]
    assert tuple(sample['inputs']) == DOMAINS
    for domain in DOMAINS:
        assert sample['inputs'][domain].shape == (3, 32, 32)
    assert 'ulm_000003' in sample['data_samples']['source_day'].metainfo['img_path']
    assert 'gt_sem_seg' not in sample['data_samples']['target_day']


def test_length_and_meta_information_are_those_of_the_source(dataset):
    assert len(dataset) == 5
    assert dataset.metainfo == dataset.source.metainfo
    assert len(dataset.metainfo['classes']) == 19


def test_before_its_own_pipeline_a_sample_holds_plain_results(roots):
    config = cross_config(*roots)
    config['pipeline'] = []
    sample = DATASETS.build(config)[0]
    assert set(sample) == {'source_day', 'target_day', 'target_night'}
    assert all(sample[domain]['img'].dtype == np.uint8 for domain in sample)


def test_source_night_has_the_geometry_and_labels_of_source_day(roots):
    """Label and image are one ramp, so a shifted or flipped S_n would show in either."""
    cityscapes, dark_zurich = roots
    y, x = np.mgrid[:40, :80]
    for index in range(5):
        stem = f'ulm/ulm_{index:06d}_000019'
        ramp = np.stack([3 * x, 6 * y, 3 * x], axis=-1).astype(np.uint8)
        write(cityscapes / f'leftImg8bit/train/{stem}_leftImg8bit.png', ramp)
        labels = (x // 5).astype(np.uint8)
        write(cityscapes / f'gtFine/train/{stem}_gtFine_labelTrainIds.png', labels)
    dataset = DATASETS.build(cross_config(cityscapes, dark_zurich))
    for number in range(8):
        sample = dataset[Draw(number % 5, number, 0)]
        day, night = (sample['data_samples'][name] for name in ('source_day', 'source_night'))
        assert torch.equal(day.gt_sem_seg.data, night.gt_sem_seg.data)
        assert day.metainfo == night.metainfo
        images = [sample['inputs'][name][1].float() for name in ('source_day', 'source_night')]
        rows = [image.mean(dim=1) for image in images]  # green grows with y
        assert torch.corrcoef(torch.stack(rows))[0, 1] > 0.9
        columns = sample['inputs']['source_night'][2].float().mean(dim=0)
        label_columns = night.gt_sem_seg.data[0].float().mean(dim=0)
        assert torch.corrcoef(torch.stack([columns, label_columns]))[0, 1] > 0.9


def test_one_draw_gives_one_sample_whatever_the_ambient_state(dataset):
    first = fingerprint(dataset[Draw(1, 17, 5)])
    np.random.seed(123)
    random.seed(123)
    torch.manual_seed(123)
    assert fingerprint(dataset[Draw(1, 17, 5)]) == first
    assert fingerprint(dataset[Draw(1, 18, 5)]) != first
    assert fingerprint(dataset[Draw(1, 17, 6)]) != first


def test_a_draw_leaves_the_callers_generators_alone(dataset):
    before = get_random_state()
    dataset[Draw(1, 17, 5)]
    assert same_random_state(before, get_random_state())


def test_generators_are_restored_after_an_error(roots):
    config = cross_config(*roots)
    config['source']['pipeline'] = [dict(type='RandomFlip', prob=0.5)]  # there is no image to flip
    dataset = DATASETS.build(config)
    before = get_random_state()
    with pytest.raises(KeyError):
        dataset[Draw(2, 0, 0)]
    assert same_random_state(before, get_random_state())


SOURCE = 'leftImg8bit/train/ulm/ulm_000002_000019_leftImg8bit.png'
LABEL = 'gtFine/train/ulm/ulm_000002_000019_gtFine_labelTrainIds.png'


@pytest.mark.parametrize('name', [SOURCE, LABEL])
def test_an_unreadable_source_is_replaced_and_the_pair_stays(roots, name):
    dataset = DATASETS.build(cross_config(*roots))
    draws = [Draw(2, number, 0) for number in range(6)]
    whole = [dataset[draw]['data_samples'] for draw in draws]
    (roots[0] / name).write_bytes(b'')
    samples = [dataset[draw]['data_samples'] for draw in draws]
    for old, new, draw in zip(whole, samples, draws, strict=True):
        assert new['source_day'].metainfo['replaced_files'] == (str(roots[0] / name),)
        assert new['source_day'].img_path != old['source_day'].img_path
        assert new['source_night'].img_path == new['source_day'].img_path
        assert new['target_night'].img_path == old['target_night'].img_path
        assert fingerprint(dataset[draw]) == fingerprint(dataset[draw])
    assert len({sample['source_day'].img_path for sample in samples}) > 1


def test_a_pair_with_an_unreadable_day_image_is_replaced_as_a_pair(roots):
    dataset = DATASETS.build(cross_config(*roots))
    path = roots[1] / 'rgb_anon' / f'{DAYS[2]}_rgb_anon.png'  # of the third pair alone
    path.write_bytes(b'')
    replaced = 0
    for number in range(20):
        samples = dataset[Draw(1, number, 0)]['data_samples']
        assert samples['target_day'].img_path != str(path)
        assert 'B_f_1' not in samples['target_night'].img_path
        assert 'ulm_000001' in samples['source_day'].img_path
        replaced += samples['source_day'].metainfo.get('replaced_files') == (str(path),)
    assert 2 <= replaced <= 12  # one of three pairs


def test_python_numpy_and_torch_are_all_seeded(roots):
    from mmcv.transforms import BaseTransform

    class Draws(BaseTransform):
        def transform(self, results):
            return random.random(), np.random.rand(), torch.rand(()).item()

    TRANSFORMS.register_module(module=Draws)
    try:
        config = cross_config(*roots)
        config['pipeline'] = [dict(type='Draws')]
        dataset = DATASETS.build(config)
        first, again, other = (dataset[Draw(0, number, 1)] for number in (4, 4, 5))
        assert first == again
        assert all(a != b for a, b in zip(first, other, strict=True))
    finally:
        TRANSFORMS.module_dict.pop('Draws')


def test_an_int_draws_from_the_ambient_generators(dataset):
    np.random.seed(1)
    first, second = fingerprint(dataset[2]), fingerprint(dataset[2])
    np.random.seed(1)
    assert fingerprint(dataset[np.int64(2)]) == first != second


def test_the_target_pair_is_drawn_uniformly(roots):
    config = cross_config(*roots)
    config['source']['pipeline'] = [dict(type='LoadImageFromFile')]
    config['target']['pipeline'] = [dict(type='LoadImageFromFile')]
    config['pipeline'] = []
    dataset = DATASETS.build(config)
    nights = [dataset[Draw(0, n, 0)]['target_night']['sample_idx'] for n in range(600)]
    counts = Counter(nights)
    assert set(counts) == {0, 1, 2}
    assert max(abs(count - 200) for count in counts.values()) < 60  # 5 standard deviations


def test_the_same_image_gets_another_draw_in_the_next_epoch(roots):
    samples = load(cross_config(*roots), 10)
    by_image = Counter(parts[0] for parts in samples)
    assert set(by_image.values()) == {2}
    for path in by_image:
        first, second = (parts for parts in samples if parts[0] == path)
        assert first != second


def test_workers_do_not_matter(roots):
    config = cross_config(*roots)
    assert load(config, 8, workers=2) == load(config, 8, workers=0)


def test_ranks_do_not_matter(roots, monkeypatch):
    config = cross_config(*roots)
    alone = load(config, 8)
    for rank in range(2):
        monkeypatch.setattr(draw_sampler, 'get_dist_info', lambda rank=rank: (rank, 2))
        assert load(config, 4) == alone[rank::2]


def test_resuming_is_skipping_to_a_draw(roots):
    config = cross_config(*roots)
    assert load(config, 4, start=6) == load(config, 10)[6:]


def test_the_seed_of_the_run_matters(roots):
    config = cross_config(*roots)
    assert load(config, 4) != load(config, 4, seed=10)


def test_built_datasets_and_wrappers_are_welcome(roots):
    source = ConcatDataset([DATASETS.build(source_config(roots[0])) for _ in range(2)])
    target = DATASETS.build(target_config(roots[1]))
    dataset = CrossDomainDataset(source, target)
    assert len(dataset) == 10
    assert set(dataset[7]) == {'source_day', 'target_day', 'target_night'}


def test_lazy_init_looks_at_nothing(roots, tmp_path):
    config = cross_config(tmp_path / 'none', tmp_path / 'none either')
    dataset = DATASETS.build({**config, 'lazy_init': True})
    assert len(dataset.metainfo['classes']) == 19
    with pytest.raises(DatasetCheckError, match='none'):
        dataset.full_init()


def test_a_target_that_packs_is_an_error(roots):
    packing = source_config(roots[0])
    packing['pipeline'] = [*packing['pipeline'], dict(type='PackSegInputs')]
    dataset = CrossDomainDataset(source_config(roots[0]), packing)
    with pytest.raises(UserInputError) as caught:
        dataset[0]
    assert str(caught.value) == (
        'The target CityscapesDataset returned neither results by domain nor those of one image: expected a dict with '
        "names of domains, or with 'img'; leave packing out of its pipeline."
    )


CLASSES = ('road', 'sidewalk', 'building')
PALETTE = [[128, 64, 128], [244, 35, 232], [70, 70, 70]]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(metainfo=dict(classes=('a', 'b'), palette=PALETTE[:2])),
            "only in source: 'road', 'sidewalk', 'building', only in target: 'a', 'b'",
        ),
        (
            dict(metainfo=dict(classes=('road', 'tree', 'building'), palette=PALETTE)),
            "only in source: 'sidewalk', only in target: 'tree'",
        ),
        (
            dict(metainfo=dict(classes=CLASSES[::-1], palette=PALETTE)),
            "another order: class 0 is 'road' in source, 'building' in target",
        ),
        (dict(metainfo=dict(classes=CLASSES, palette=PALETTE[::-1])), 'different palettes'),
        (dict(ignore_index=254), r'ignore_index, \[254, 255\]'),
        ({}, None),
    ],
    ids=['disjoint', 'overlapping', 'order', 'palette', 'ignore_index', 'equal'],
)
def test_source_and_target_must_agree(roots, changes, message):
    metainfo = dict(classes=CLASSES, palette=PALETTE)
    folder = dict(data_prefix=dict(img_path=str(roots[0])), img_suffix='.png')
    source = BaseSegDataset(metainfo=metainfo, **folder)
    target = BaseSegDataset(**{**dict(metainfo=metainfo), **folder, **changes})
    if message is None:
        CrossDomainDataset(source, target)
    else:
        with pytest.raises(DatasetCheckError, match=message):
            CrossDomainDataset(source, target)


def test_classes_of_the_source_are_those_of_unlabelled_pairs(roots):
    """Named on the source alone, or of both alike; a choice of Cityscapes' classes is mapped."""
    config = cross_config(*roots)
    config['source']['metainfo'] = dict(classes=('sky', 'road'))
    assert DATASETS.build(config).metainfo['classes'] == ('sky', 'road')
    own = dict(classes=('lane', 'sky'), palette=[[1, 2, 3], [4, 5, 6]])
    config['source'] |= dict(type='BaseSegDataset', metainfo=own)
    config['source'] |= dict(
        img_suffix='_leftImg8bit.png', seg_map_suffix='_gtFine_labelTrainIds.png'
    )
    assert DATASETS.build(config).metainfo['classes'] == ('lane', 'sky')
    config['target']['metainfo'] = own
    assert DATASETS.build(config).metainfo['palette'] == own['palette']
    config['target']['metainfo'] = dict(own, classes=('sky', 'lane'))
    with pytest.raises(DatasetCheckError, match="class 0 is 'lane' in source, 'sky' in target"):
        DATASETS.build(config)


@pytest.mark.parametrize(
    ('metainfo', 'message'),
    [
        (
            dict(classes=('road', 'lane')),
            r"CityscapesDataset names the classes \['lane'\], which its labels do not have: .*"
            'use type="BaseSegDataset"',
        ),
        (
            dict(classes=('road', 'sky'), palette=[[0, 0, 0]]),
            'palette of another length than its classes',
        ),
    ],
)
@pytest.mark.parametrize('lazy', [False, True])
def test_classes_that_a_data_set_does_not_have_are_named(roots, metainfo, message, lazy):
    config = cross_config(*roots)
    config['source']['metainfo'] = metainfo
    with pytest.raises(DatasetCheckError, match=message):
        DATASETS.build(dict(config, lazy_init=lazy))


def test_a_source_without_classes_is_named(roots):
    folder = dict(data_prefix=dict(img_path=str(roots[0])), img_suffix='.png')
    with pytest.raises(DatasetCheckError, match=r'source \(BaseSegDataset\) names no classes'):
        CrossDomainDataset(BaseSegDataset(**folder), BaseSegDataset(**folder))


@pytest.mark.parametrize('side', ['source', 'target'])
def test_a_missing_root_is_named_at_build(roots, tmp_path, side):
    config = cross_config(*roots)
    config[side]['data_root'] = str(tmp_path / 'gone')
    with pytest.raises(DatasetCheckError, match=r"data root '.*gone' .*does not exist"):
        DATASETS.build(config)


def test_a_wrong_suffix_of_the_source_is_named_at_build(roots):
    config = cross_config(*roots)
    config['source']['img_suffix'] = '_leftImg8bit.jpg'
    with pytest.raises(
        DatasetCheckError, match=r"no images.*'_leftImg8bit.jpg'.*found for example"
    ):
        DATASETS.build(config)


@pytest.mark.parametrize('listed', [False, True])
def test_a_target_without_images_is_named_at_build(roots, listed):
    """Night images alone, as the general systems read them, and pairs."""
    config = cross_config(*roots)
    config['domains'] = ('source_day', 'target_night')
    config['pipeline'] = [dict(type='PackCrossDomainInputs')]
    sentence = r"The pair list '.*zurich_dn_pair_train.csv' is empty: expected night,day stems"
    if listed:
        (roots[1] / 'lists/zurich_dn_pair_train.csv').write_text('')
    else:
        (roots[1] / 'empty').mkdir()
        config['target'] = dict(
            type='DarkZurichDataset',
            data_root=str(roots[1]),
            data_prefix=dict(img_path='empty'),
            test_mode=True,
            pipeline=[dict(type='LoadImageFromFile')],
        )
        sentence = r"DarkZurichDataset has no images: expected files in '.*empty' that end in"
    with pytest.raises(DatasetCheckError, match=sentence):
        DATASETS.build(config)


@pytest.fixture
def styled(roots, tmp_path):
    """S_n in the style of one of two nights of a folder, in place of T_n."""
    for name, level in (('0.jpg', 10), ('1.jpg', 60)):
        write(tmp_path / 'nights' / name, np.full((20, 30, 3), level, np.uint8))
    config = cross_config(*roots)
    config['pipeline'][0]['style_dir'] = str(tmp_path / 'nights')
    return config


def test_the_night_whose_style_s_n_takes_follows_from_the_draw(styled, dataset):
    made = DATASETS.build(styled)
    plain, first, again = (
        [data[Draw(0, number, number % 2)] for number in range(8)]
        for data in (dataset, made, DATASETS.build(styled))
    )
    assert [fingerprint(sample) for sample in first] == [fingerprint(sample) for sample in again]
    for domain in ('source_day', 'target_day', 'target_night'):  # what it is without the folder
        assert all(
            torch.equal(a['inputs'][domain], b['inputs'][domain])
            for a, b in zip(plain, first, strict=True)
        )
    means = {round(float(sample['inputs']['source_night'].float().mean())) for sample in first}
    assert min(means) < 15 and max(means) > 50


def test_with_a_style_of_its_own_no_night_is_opened_for_s_n(styled, roots):
    alone = DATASETS.build(styled | dict(domains=('source_day', 'source_night')))
    assert alone.decoded == {'source_day'}
    for path in roots[1].rglob('*_rgb_anon.png'):
        path.write_bytes(b'no image')
    assert set(alone[Draw(0, 0, 0)]['inputs']) == {'source_day', 'source_night'}


def test_a_missing_folder_of_styles_is_named_at_the_start(styled, tmp_path):
    missing = str(tmp_path / 'gone')
    styled['pipeline'][0]['style_dir'] = missing
    with pytest.raises(
        UserInputError, match=f'LABTransfer found no image .* in the folder {missing!r}'
    ):
        DATASETS.build(styled)
    DATASETS.build(styled | dict(domains=('source_day', 'target_night')))  # nobody asks for S_n
    DATASETS.build(styled | dict(lazy_init=True))


def test_the_sampler_works_without_a_runner(dataset):
    draws = list(islice(DrawSampler(dataset, seed=0), 3))
    assert [draw.number for draw in draws] == [0, 1, 2]
    assert all(tuple(dataset[draw]['inputs']) == DOMAINS for draw in draws)


def test_a_sample_is_the_same_where_resize_and_crop_are_two_steps(
    roots: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = DATASETS.build(cross_config(*roots))
    monkeypatch.setattr(file_check, 'join_crops', lambda steps: None)
    apart = DATASETS.build(cross_config(*roots))
    kinds = [
        [type(step).__name__ for step in dataset.target.pipeline.transforms]
        for dataset in (joined, apart)
    ]
    assert 'ResizedCrop' in kinds[0] and {'RandomResize', 'RandomCrop'} <= set(kinds[1])
    for number in range(6):
        ours, theirs = (dataset[Draw(1, number, 0)] for dataset in (joined, apart))
        for domain, image in theirs['inputs'].items():
            assert torch.equal(ours['inputs'][domain], image)
            samples = ours['data_samples'][domain], theirs['data_samples'][domain]
            assert samples[0].metainfo == samples[1].metainfo
            assert ('gt_sem_seg' in samples[0]) == ('gt_sem_seg' in samples[1])
            if 'gt_sem_seg' in samples[0]:
                assert torch.equal(samples[0].gt_sem_seg.data, samples[1].gt_sem_seg.data)
