import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmseg.registry import TRANSFORMS

from benchmarks.timing import time_interleaved
from mmseg_ccdistill.datasets.transforms import lab_statistics, lab_transfer
from mmseg_ccdistill.datasets.transforms.lab_transfer import (
    align_lab,
    bgr_to_lab,
    lab_to_bgr,
)
from mmseg_ccdistill.errors import UserInputError

# sRGB (IEC 61966-2-1) and CIELAB (CIE 15), D65 white: the textbook formulas in float64
_TO_XYZ = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_WHITE = _TO_XYZ.sum(axis=1)


def textbook_lab(image: np.ndarray) -> np.ndarray:
    rgb = image[..., ::-1].astype(np.float64) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def textbook_bgr(lab: np.ndarray) -> np.ndarray:
    y = (lab[..., 0] + 16) / 116
    f = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (116 * f - 16) * 27 / 24389) * _WHITE
    linear = np.clip(xyz @ np.linalg.inv(_TO_XYZ).T, 0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)[..., ::-1]


def textbook_transfer(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    lab, target = textbook_lab(source), textbook_lab(reference)
    gain = target.std(axis=(0, 1)) / lab.std(axis=(0, 1))
    return textbook_bgr((lab - lab.mean(axis=(0, 1))) * gain + target.mean(axis=(0, 1)))


def texture(seed: int, size: tuple[int, int] = (96, 128), gain: float = 1.0) -> np.ndarray:
    noise = np.random.RandomState(seed).uniform(0, 255, (*size, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min()) * 255 * gain
    return smooth.astype(np.uint8)


def levels(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first.astype(int) - second.astype(int))


def cv2_statistics(lab: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, std = cv2.meanStdDev(lab)
    return mean.ravel(), std.ravel()


def test_red_pixel_tells_channel_order_and_scale():
    red = np.array([[[0, 0, 255]]], dtype=np.uint8)  # BGR
    np.testing.assert_allclose(bgr_to_lab(red)[0, 0], [53.24, 80.09, 67.20], atol=0.01)


def test_grey_128_is_not_white():
    grey = np.full((4, 4, 3), 128, np.uint8)
    mean, std = lab_statistics(grey)
    np.testing.assert_allclose(mean, [53.585, 0, 0], atol=1e-3)
    assert mean.dtype == std.dtype == np.float64


def test_forward_conversion_agrees_with_the_textbook():
    image = texture(0)
    np.testing.assert_allclose(bgr_to_lab(image), textbook_lab(image), atol=1e-3)


@pytest.mark.parametrize('gain', [0.08, 0.35, 1.0], ids=['dark', 'dim', 'bright'])
def test_transfer_agrees_with_the_textbook_within_one_level(gain):
    source, night = texture(1), texture(2, (64, 80), gain)
    expected = textbook_transfer(source, night)
    assert levels(lab_transfer(source, night), expected).max() <= 1
    assert (expected == 0).mean() > 0.001 or gain > 0.1  # the dark case does leave the gamut


def test_out_of_gamut_colours_are_clipped_not_wrapped():
    lab = np.array([[[-30, 0, 0], [140, 0, 0], [50, 200, -200]]], np.float32)
    black, white, violet = lab_to_bgr(lab)[0].tolist()
    assert black == [0, 0, 0] and white == [255, 255, 255]
    assert violet == textbook_bgr(lab.astype(np.float64))[0, 2].tolist()
    assert violet[1] == 0


@given(seed=st.integers(0, 2**16), gain=st.floats(0.1, 1.0))
@settings(max_examples=25, deadline=None)
def test_aligning_an_image_with_itself_returns_it_within_one_level(seed, gain):
    image = texture(seed, (24, 32), gain)
    assert levels(lab_transfer(image, image), image).max() <= 1


def test_statistics_before_clipping_are_those_of_the_reference():
    source, night = texture(3), texture(4, gain=0.3)
    aligned = align_lab(bgr_to_lab(source), lab_statistics(source), lab_statistics(night))
    mean, std = lab_statistics(night)
    np.testing.assert_allclose(aligned.mean(axis=(0, 1), dtype=np.float64), mean, atol=1e-4)
    np.testing.assert_allclose(aligned.std(axis=(0, 1), dtype=np.float64), std, atol=1e-4)


@pytest.mark.parametrize(
    ('size', 'reference'),
    [((1024, 2048), (1080, 1920)), ((512, 512), (512, 512))],
    ids=['full images', 'crops'],
)
def test_sizes_of_the_paper(size, reference):
    source, night = texture(40, size), texture(41, reference, 0.3)
    mean, std = lab_statistics(night)
    aligned = align_lab(bgr_to_lab(source), lab_statistics(source), (mean, std))
    np.testing.assert_allclose(aligned.mean(axis=(0, 1), dtype=np.float64), mean, atol=1e-4)
    np.testing.assert_allclose(aligned.std(axis=(0, 1), dtype=np.float64), std, atol=1e-4)
    again = align_lab(aligned, cv2_statistics(aligned), (mean, std))
    np.testing.assert_allclose(again, aligned, atol=1e-3)
    assert levels(lab_transfer(source, source), source).max() <= 1
    result = lab_transfer(source, night)
    assert levels(result, textbook_transfer(source, night)).max() <= 1


def test_statistics_are_population_statistics_in_float64():
    image = texture(5, (7, 9))
    lab = textbook_lab(image)
    mean, std = lab_statistics(image)
    np.testing.assert_allclose(mean, lab.mean(axis=(0, 1)), atol=1e-4)
    np.testing.assert_allclose(std, lab.std(axis=(0, 1)), atol=1e-4)  # ddof=1 is 0.8 % off
    constant = np.full((512, 512, 3), (30, 60, 90), np.uint8)
    assert lab_statistics(constant)[1].max() < 1e-3  # float32 accumulation gives 0.16


def test_the_scale_is_a_ratio_of_deviations_not_of_variances():
    lab = np.float32([[[10, 0, 0], [30, 0, 0]]])
    zero, one = np.zeros(3), np.ones(3)
    aligned = align_lab(lab, (np.array([20.0, 0, 0]), 10 * one), (zero + 50, 5 * one))
    np.testing.assert_allclose(aligned[0, :, 0], [45, 55], atol=1e-5)


def test_a_second_application_changes_nothing():
    source, night = texture(6), texture(7, gain=0.5)
    stats = lab_statistics(night)
    once = align_lab(bgr_to_lab(source), lab_statistics(source), stats)
    np.testing.assert_allclose(align_lab(once, cv2_statistics(once), stats), once, atol=1e-3)


def test_a_constant_source_takes_the_mean_colour():
    night = texture(8, gain=0.4)
    result = lab_transfer(np.full((16, 16, 3), 200, np.uint8), night)
    assert (result == result[0, 0]).all()
    np.testing.assert_allclose(
        textbook_lab(result)[0, 0], textbook_lab(night).mean(axis=(0, 1)), atol=0.5
    )


def test_a_constant_reference_gives_a_constant_image():
    result = lab_transfer(texture(9), np.full((16, 16, 3), 40, np.uint8))
    assert levels(result, np.full_like(result, 40)).max() <= 1


def test_given_statistics_replace_those_of_the_images():
    source, night = texture(10), texture(11, gain=0.3)
    whole, other = textbook_lab(texture(12)), textbook_lab(texture(13, gain=0.6))
    stats = [(lab.mean(axis=(0, 1)), lab.std(axis=(0, 1))) for lab in (whole, other)]
    gain = stats[1][1] / stats[0][1]
    expected = textbook_bgr((textbook_lab(source) - stats[0][0]) * gain + stats[1][0])
    result = lab_transfer(source, night, source_stats=stats[0], reference_stats=stats[1])
    assert levels(result, expected).max() <= 1
    assert levels(result, lab_transfer(source, night)).max() > 5


def test_inputs_are_left_alone_and_views_are_welcome():
    source, night = texture(14), texture(15, gain=0.3)
    before = source.copy(), night.copy()
    flipped = lab_transfer(source[:, ::-1], night[4:40, 3:50])
    np.testing.assert_array_equal(source, before[0])
    np.testing.assert_array_equal(night, before[1])
    expected = lab_transfer(np.ascontiguousarray(source[:, ::-1]), night[4:40, 3:50].copy())
    np.testing.assert_array_equal(flipped, expected)


@pytest.mark.parametrize(
    'image', [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8)], ids=['float', 'grey']
)
def test_normalised_or_grey_images_are_refused(image):
    with pytest.raises(ValueError, match='expected uint8 BGR'):
        lab_transfer(image, texture(0))


def sample(labelled: bool = True) -> dict:
    day = dict(img=texture(20), img_path='s.png', flip=True, seg_fields=['gt_seg_map'])
    if labelled:
        day['gt_seg_map'] = np.random.RandomState(0).randint(0, 19, (96, 128)).astype(np.uint8)
    night = dict(img=texture(21, gain=0.3), img_path='t.png', flip=False, seg_fields=[])
    target_day = dict(night, img=texture(22))
    return dict(source_day=day, target_day=target_day, target_night=night)


def test_transform_adds_source_night_with_labels_and_geometry_of_source_day():
    results = sample()
    expected = textbook_transfer(results['source_day']['img'], results['target_night']['img'])
    out = TRANSFORMS.build(dict(type='LABTransfer'))(results)
    day, night = out['source_day'], out['source_night']
    assert levels(night['img'], expected).max() <= 1
    np.testing.assert_array_equal(night['gt_seg_map'], day['gt_seg_map'])
    assert night['flip'] is True and night['img_path'] == 's.png'
    assert not np.shares_memory(night['gt_seg_map'], day['gt_seg_map'])
    assert night['seg_fields'] == day['seg_fields']
    assert night['seg_fields'] is not day['seg_fields']


def test_full_statistics_are_recorded_before_cropping():
    results = sample()
    record = TRANSFORMS.build(dict(type='RecordLABStatistics'))
    for domain in ('source_day', 'target_night'):
        record(results[domain])
        results[domain]['img'] = results[domain]['img'][10:50, 20:70]
    whole, night = texture(20), texture(21, gain=0.3)
    out = TRANSFORMS.build(dict(type='LABTransfer', stats='full'))(results)
    expected = textbook_transfer(whole, night)[10:50, 20:70]
    assert levels(out['source_night']['img'], expected).max() <= 1


def test_full_statistics_that_were_not_recorded_are_an_error():
    with pytest.raises(ValueError, match=r"'s.png'.*RecordLABStatistics.*after LoadImageFromFile"):
        TRANSFORMS.build(dict(type='LABTransfer', stats='full'))(sample())


def test_unknown_statistics_are_an_error():
    with pytest.raises(ValueError, match="expected 'crop' or 'full'"):
        TRANSFORMS.build(dict(type='LABTransfer', stats='dataset'))


@pytest.fixture
def nights(tmp_path: Path) -> Path:
    """Three images of other sizes and suffixes than those of the samples."""
    for index, suffix in enumerate(('.png', '.jpg', '.png')):
        path = tmp_path / f'nights/drive{index}/frame{suffix}'
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), texture(40 + index, (60, 90), gain=0.2 + 0.1 * index))
    return tmp_path / 'nights'


def paths(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob('frame.*'))


def styled(nights: Path, seed: int, **settings: object) -> np.ndarray:
    transform = TRANSFORMS.build(dict(type='LABTransfer', style_dir=str(nights), **settings))
    np.random.seed(seed)
    return transform(sample())['source_night']['img']


def test_a_folder_of_nights_gives_the_style_in_place_of_t_n(nights: Path) -> None:
    """The whole of one of its images; the sample's own night does not count, and need not be there."""
    references = [cv2.imread(str(path)) for path in paths(nights)]
    expected = [textbook_transfer(texture(20), reference) for reference in references]
    made = [styled(nights, seed) for seed in range(12)]
    chosen = [
        [index for index, image in enumerate(expected) if levels(result, image).max() <= 1]
        for result in made
    ]
    assert all(len(found) == 1 for found in chosen) and {found[0] for found in chosen} == {0, 1, 2}
    results = sample()
    del results['target_night'], results['target_day']
    transform = TRANSFORMS.build(dict(type='LABTransfer', style_dir=str(nights)))
    np.random.seed(4)
    np.testing.assert_array_equal(transform(results)['source_night']['img'], made[4])
    assert transform.reads == ('source_day',)
    assert TRANSFORMS.build(dict(type='LABTransfer')).reads == ('source_day', 'target_night')


def test_the_draw_of_a_style_leaves_the_random_numbers_alone(nights: Path) -> None:
    np.random.seed(7)
    expected = np.random.random_sample(3)
    styled(nights, 7)
    np.testing.assert_array_equal(np.random.random_sample(3), expected)


def test_full_statistics_with_a_style_are_those_of_s_d_alone(nights: Path) -> None:
    (only,) = [path for path in paths(nights) if path.suffix == '.jpg']
    results = sample()
    TRANSFORMS.build(dict(type='RecordLABStatistics'))(results['source_day'])
    results['source_day']['img'] = results['source_day']['img'][10:50, 20:70]
    transform = TRANSFORMS.build(
        dict(type='LABTransfer', stats='full', style_dir=str(nights), style_suffix=['.jpg'])
    )
    expected = textbook_transfer(texture(20), cv2.imread(str(only)))[10:50, 20:70]
    assert levels(transform(results)['source_night']['img'], expected).max() <= 1


def test_a_style_folder_without_images_is_one_sentence(tmp_path: Path) -> None:
    transform = TRANSFORMS.build(dict(type='LABTransfer', style_dir=str(tmp_path / 'none')))
    sentence = (
        "LABTransfer found no image that ends in ('.jpg', '.jpeg', '.png') in the folder "
        f'{str(tmp_path / "none")!r}: expected the images whose light the source takes on; correct style_dir or '
        'style_suffix.'
    )
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}$'):
        transform.check_files()
    TRANSFORMS.build(dict(type='LABTransfer')).check_files()  # has none to look for


def test_a_broken_style_image_is_one_sentence_at_the_start(nights: Path) -> None:
    transform = TRANSFORMS.build(dict(type='LABTransfer', style_dir=str(nights)))
    paths(nights)[1].write_bytes(b'no image')
    with pytest.raises(UserInputError, match='^The style image .*frame.jpg.* cannot be read'):
        transform.check_files()


def test_copy_source_day_is_the_ablation_without_lab():
    out = TRANSFORMS.build(dict(type='CopySourceDay'))(sample())
    day, night = out['source_day'], out['source_night']
    for key in ('img', 'gt_seg_map'):
        np.testing.assert_array_equal(day[key], night[key])
        assert not np.shares_memory(day[key], night[key])


@pytest.mark.parametrize('name', ['LABTransfer', 'RecordLABStatistics', 'CopySourceDay'])
def test_repr_is_balanced(name):
    text = repr(TRANSFORMS.build(dict(type=name)))
    assert text.startswith(f'{name}(') and text.endswith(')')


def test_repr_names_the_style() -> None:
    transform = TRANSFORMS.build(dict(type='LABTransfer', style_dir='nights', style_suffix='.png'))
    assert repr(transform) == ("LABTransfer(stats='crop', style_dir='nights', style_suffix='.png')")
    assert repr(TRANSFORMS.build(dict(type='LABTransfer'))) == "LABTransfer(stats='crop')"


@pytest.mark.slow
def test_cost_stays_near_that_of_the_three_colour_conversions():
    day, night = texture(30, (512, 512)), texture(31, (512, 512), 0.3)
    scaled = day.astype(np.float32) / 255
    lab = bgr_to_lab(day)

    def conversions() -> None:
        for _ in range(2):
            cv2.cvtColor(scaled, cv2.COLOR_BGR2LAB)
        cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)

    times = time_interleaved(
        {'ours': lambda: lab_transfer(day, night), 'conversions': conversions}, rounds=21
    )
    assert times.ratio('ours', 'conversions').value <= 1.5
