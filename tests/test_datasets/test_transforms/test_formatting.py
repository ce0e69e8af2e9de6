import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmseg.registry import TRANSFORMS

from mmseg_ccdistill.datasets.transforms.formatting import colour_planes
from mmseg_ccdistill.domains import DOMAINS


def results(domains=DOMAINS) -> dict:
    rng = np.random.RandomState(0)
    packed = {}
    for domain in domains:
        whole = rng.randint(0, 256, (40, 60, 3)).astype(np.uint8)
        image = whole[4:36, 8:56][:, ::-1]  # a cropped and flipped view, as pipelines leave it
        packed[domain] = dict(img=image, img_path=f'{domain}.png', ori_shape=(40, 60), flip=True)
        if domain.startswith('source'):
            packed[domain]['gt_seg_map'] = rng.randint(0, 19, (32, 48)).astype(np.uint8)
    return packed


def test_domains_are_packed_as_uint8_with_samples():
    raw = results()
    out = TRANSFORMS.build(dict(type='PackCrossDomainInputs'))(raw)
    assert set(out) == {'inputs', 'data_samples'}
    assert tuple(out['inputs']) == tuple(out['data_samples']) == DOMAINS
    for domain in DOMAINS:
        image, sample = out['inputs'][domain], out['data_samples'][domain]
        assert image.dtype == torch.uint8 and image.shape == (3, 32, 48)
        np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), raw[domain]['img'])
        assert sample.metainfo['img_path'] == f'{domain}.png'
        assert sample.metainfo['ori_shape'] == (40, 60) and sample.metainfo['flip'] is True
        assert ('gt_sem_seg' in sample) == domain.startswith('source')
    label = out['data_samples']['source_day'].gt_sem_seg.data
    assert label.dtype == torch.int64 and label.shape == (1, 32, 48)
    np.testing.assert_array_equal(label[0].numpy(), raw['source_day']['gt_seg_map'])


def test_tensors_are_contiguous_and_own_their_memory():
    raw = results()
    out = TRANSFORMS.build(dict(type='PackCrossDomainInputs'))(raw)
    for domain in DOMAINS:
        image = out['inputs'][domain]
        assert image.is_contiguous()
        assert image.untyped_storage().nbytes() == image.numel()  # the crop only, not the image
        before = image.clone()
        raw[domain]['img'][:] = 0
        assert torch.equal(image, before)


def test_a_batch_keeps_domains_apart():
    pack = TRANSFORMS.build(dict(type='PackCrossDomainInputs'))
    batch = pseudo_collate([pack(results()), pack(results())])
    assert tuple(batch['inputs']) == DOMAINS
    assert all(len(batch['inputs'][domain]) == 2 for domain in DOMAINS)
    assert [s.metainfo['img_path'] for s in batch['data_samples']['target_day']] == (
        ['target_day.png'] * 2
    )


def test_absent_domains_are_left_out():
    out = TRANSFORMS.build(dict(type='PackCrossDomainInputs'))(results(('target_night',)))
    assert list(out['inputs']) == ['target_night']


def test_meta_keys_can_be_chosen():
    pack = TRANSFORMS.build(dict(type='PackCrossDomainInputs', meta_keys=['img_path']))
    assert list(pack(results())['data_samples']['source_day'].metainfo) == ['img_path']


def test_results_without_image_are_an_error():
    raw = results()
    raw['target_day'] = dict(inputs=torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match="'target_day'.*leave packing out"):
        TRANSFORMS.build(dict(type='PackCrossDomainInputs'))(raw)
    with pytest.raises(ValueError, match='found no domain'):
        TRANSFORMS.build(dict(type='PackCrossDomainInputs'))({})


@pytest.mark.parametrize('channels', [(), (1,), (3,)])
@pytest.mark.parametrize('dtype', [np.uint8, np.float32])
def test_planes_of_every_view(channels: tuple[int, ...], dtype: type) -> None:
    whole = np.random.RandomState(0).randint(0, 256, (21, 35, *channels)).astype(dtype)
    for view in (whole, whole[2:9, 3:30], whole[:, ::-1], whole[::-1], whole[2:9, ::-1]):
        expected = np.atleast_3d(view).transpose(2, 0, 1)
        planes = colour_planes(view)
        np.testing.assert_array_equal(planes, expected)
        assert planes.flags.c_contiguous and planes.dtype == dtype
        assert not np.shares_memory(planes, whole)
