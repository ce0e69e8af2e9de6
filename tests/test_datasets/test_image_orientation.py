"""EXIF orientation: what is loaded fits its label, or the start-up check says what to do."""

from __future__ import annotations

import io
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_labels import make_labels
from mmengine.registry import init_default_scope
from mmseg.registry import TRANSFORMS
from PIL import Image, PngImagePlugin
from tiny_data import DAYS, NIGHTS, make_cityscapes, make_dark_zurich, source_config, target_config

from mmseg_ccdistill.curation.audit.file_checks import check_files
from mmseg_ccdistill.curation.audit.file_facts import Request, read_file
from mmseg_ccdistill.curation.audit.listing import ListedSplit
from mmseg_ccdistill.datasets import DatasetCheckError, check_dataset
from mmseg_ccdistill.datasets.file_check import build_dataset
from mmseg_ccdistill.datasets.image_facts import read_facts
from mmseg_ccdistill.datasets.published_sets import CITYSCAPES

STEM = 'train/ulm/ulm_000002_000019'
IGNORE = dict(type='LoadImageFromFile', color_type='color_ignore_orientation')
ORIENTATIONS = range(1, 9)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = make_cityscapes(tmp_path / 'cityscapes', count=3)
    for path in root.rglob('*_leftImg8bit.png'):
        Image.open(path).save(path.with_suffix('.jpg'))
    return root


def oriented(path: Path, orientation: int, size: tuple[int, int], late: bool = False) -> None:
    """Write an image whose upper half is dark, with an orientation; late: after a PNG's pixels."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[size[1] // 2 :] = 200
    exif = Image.Exif()
    exif[0x0112] = orientation
    if not late:
        Image.fromarray(pixels).save(path, exif=exif)
        return
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'PNG')
    content, block = buffer.getvalue(), b'eXIf' + exif.tobytes().removeprefix(b'Exif\0\0')
    chunk = (len(block) - 4).to_bytes(4, 'big') + block + zlib.crc32(block).to_bytes(4, 'big')
    path.write_bytes(content[:-12] + chunk + content[-12:])


def label(root: Path, size: tuple[int, int], orientation: int = 1) -> Path:
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    path = root / f'gtFine/{STEM}_gtFine_labelTrainIds.png'
    Image.fromarray(np.zeros(size[::-1], np.uint8)).save(path, exif=exif)
    return path


def dataset(root: Path, suffix: str, **kwargs):
    return build_dataset(source_config(root, img_suffix=f'_leftImg8bit{suffix}', **kwargs))


def image_path(root: Path, suffix: str) -> Path:
    return root / f'leftImg8bit/{STEM}_leftImg8bit{suffix}'


def refused(root: Path, suffix: str = '.jpg', **kwargs) -> str:
    with pytest.raises(DatasetCheckError) as info:
        check_dataset(dataset(root, suffix, **kwargs))
    return str(info.value)


def loaded_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as training loads it."""
    init_default_scope('mmseg')
    results = TRANSFORMS.build(dict(type='LoadImageFromFile'))(dict(img_path=str(path)))
    return results['img'].shape[1], results['img'].shape[0]


@pytest.mark.parametrize('orientation', ORIENTATIONS)
@pytest.mark.parametrize(('suffix', 'late'), [('.jpg', False), ('.png', False), ('.png', True)])
def test_the_orientation_is_read_as_opencv_applies_it(tmp_path, orientation, suffix, late) -> None:
    path = tmp_path / f'a{suffix}'
    oriented(path, orientation, (60, 40), late)
    facts = read_facts(str(path), False)
    assert (facts.width, facts.height, facts.orientation) == (60, 40, orientation)
    assert read_file(Request(str(path), True, False)).orientation == orientation
    assert loaded_size(path) == ((40, 60) if orientation > 4 else (60, 40))


@pytest.mark.filterwarnings('ignore:Corrupt EXIF data')
def test_xmp_and_broken_exif_turn_nothing(tmp_path) -> None:
    path = tmp_path / 'a.png'
    text = PngImagePlugin.PngInfo()
    text.add_itxt('XML:com.adobe.xmp', '<rdf tiff:Orientation="6"/>')
    Image.new('RGB', (60, 40)).save(path, pnginfo=text)
    assert read_facts(str(path), False).orientation == 1
    assert loaded_size(path) == (60, 40)
    for block in (b'', b'MM\0*', b'no exif at all', b'II*\0\x08\0\0\0\xff\xff'):
        Image.new('RGB', (60, 40)).save(path, exif=block)
        assert read_facts(str(path), False).orientation == 1
        assert loaded_size(path) == (60, 40)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_a_quarter_turn_with_a_label_of_the_turned_pixels_trains(root, suffix, orientation) -> None:
    oriented(image_path(root, suffix), orientation, (40, 80))
    label(root, (80, 40))
    data = dataset(root, suffix)
    check_dataset(data)
    assert [data[i]['img'].shape[:2] for i in range(3)] == [(32, 32)] * 3


@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_a_quarter_turn_with_a_label_of_the_stored_pixels_is_refused(root, orientation) -> None:
    path = image_path(root, '.jpg')
    oriented(path, orientation, (80, 40))
    mask = label(root, (80, 40))
    assert refused(root) == (
        f"The label '{mask}' has the stored 80x40 pixels of its image '{path}', whose EXIF orientation "
        f'{orientation} turns it when it is loaded: expected a label of the turned 40x80 pixels; `exiftool '
        "-Orientation= FILE` removes the tag, or color_type='color_ignore_orientation' of "
        'LoadImageFromFile ignores it.'
    )
    pipeline = [IGNORE, *source_config(root)['pipeline'][1:]]
    data = dataset(root, '.jpg', pipeline=pipeline)  # the advice
    check_dataset(data)
    assert data[2]['img'].shape[:2] == data[2]['gt_seg_map'].shape == (32, 32)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize(
    ('orientation', 'size'), [*((o, (80, 40)) for o in (2, 3, 4)), *((o, (40, 40)) for o in range(2, 9))]
)  # fmt: skip
def test_what_the_sizes_do_not_tell_is_refused(root, suffix, orientation, size) -> None:
    path = image_path(root, suffix)
    oriented(path, orientation, size)
    mask = label(root, size)
    assert refused(root, suffix) == (
        f"The image '{path}' has the EXIF orientation {orientation} and is turned when it is loaded, and its "
        f"label '{mask}' is not: expected an image without one, because the sizes do not tell whether the "
        'label fits the turned or the stored pixels; if the turned ones, `mogrify -auto-orient FILE` writes '
        'the turned pixels; if the stored ones, `exiftool -Orientation= FILE` removes the tag, or '
        "color_type='color_ignore_orientation' of LoadImageFromFile ignores it."
    )
    check_dataset(dataset(root, suffix, pipeline=[IGNORE, dict(type='LoadAnnotations')]))


@pytest.mark.parametrize(
    ('of_image', 'size', 'of_label'),
    [(1, (80, 40), 3), (6, (40, 80), 3), (6, (80, 40), 6), (3, (80, 40), 3), (1, (80, 40), 6)],
)
def test_a_label_with_an_orientation_is_refused(root, of_image, size, of_label) -> None:
    path = image_path(root, '.jpg')
    oriented(path, of_image, size)
    mask = label(root, (80, 40), of_label)
    assert refused(root) == (
        f"The label '{mask}' of the image '{path}' has the EXIF orientation {of_label}, and labels are never "
        'turned when they are loaded: expected a label without one; if its stored pixels fit the image as it '
        'is loaded, `exiftool -Orientation= FILE` removes the tag, else `mogrify -auto-orient FILE` writes '
        'the turned pixels.'
    )


def test_a_pipeline_that_turns_nothing_takes_image_and_label_as_stored(root) -> None:
    oriented(image_path(root, '.jpg'), 6, (80, 40))
    label(root, (80, 40), 6)
    pipeline = [IGNORE, dict(type='LoadAnnotations')]
    check_dataset(dataset(root, '.jpg', pipeline=pipeline))
    label(root, (80, 40), 3)
    assert 'has the EXIF orientation 3' in refused(root, pipeline=pipeline)


def test_the_doctor_refuses_an_orientation(root) -> None:
    image = image_path(root, '.png')
    oriented(image, 3, (80, 40))
    mask = label(root, (80, 40))
    split = CITYSCAPES.layouts['published'][0]
    listed = ListedSplit(CITYSCAPES, str(root), split, (str(image),), {str(image): str(mask)})
    facts = {str(path): read_file(Request(str(path), True, path == mask)) for path in (image, mask)}
    texts = [finding.text for finding in check_files(listed, facts)]
    assert any(f"The image '{image}' has the EXIF orientation 3" in text for text in texts)


def test_other_sizes_are_told_as_loaded(root) -> None:
    oriented(image_path(root, '.jpg'), 6, (50, 70))
    label(root, (80, 40))
    assert 'has 80x40 pixels, but its image' in refused(root)
    assert 'has 70x50: expected equal sizes' in refused(root)


def test_unlabelled_pairs_turn_alike(tmp_path) -> None:
    root = make_dark_zurich(tmp_path)
    night, day = (root / f'rgb_anon/{stem}_rgb_anon.png' for stem in (NIGHTS[2], DAYS[2]))
    for orientations, sizes in [
        ((6, 1), ((54, 96), (96, 54))),
        ((8, 6), ((54, 96), (54, 96))),
        ((3, 2), ((96, 54), (96, 54))),
    ]:
        for path, orientation, size in zip((night, day), orientations, sizes, strict=True):
            oriented(path, orientation, size)
        data = build_dataset(target_config(root))
        check_dataset(data)
        assert data[2]['target_night']['img'].shape == data[2]['target_day']['img'].shape
    oriented(night, 6, (96, 54))
    with pytest.raises(DatasetCheckError, match='has 96x54 pixels, but its image .* has 54x96'):
        check_dataset(build_dataset(target_config(root)))


def predicted(root: Path, kind: str, orientation: int, size: tuple[int, int]) -> tuple[Any, Path]:
    """Nights of which one is turned, with labels of the tool at the sizes that they are loaded in."""
    dark_zurich = make_dark_zurich(root)
    for stem in (NIGHTS[2], DAYS[2]):
        oriented(dark_zurich / f'rgb_anon/{stem}_rgb_anon.png', orientation, size)
    names = [f'{stem}_rgb_anon.png' for stem in NIGHTS]
    folder = make_labels(root / 'labels', names, (96, 54))
    folder.write_label(names[2], np.ones((3, 3), np.uint8), size[::-1] if orientation > 4 else size)
    label = root / f'labels/{NIGHTS[2]}_rgb_anon.png'
    if kind == 'pairs':
        return target_config(dark_zurich, night_label_dir=str(folder.path)), label
    shutil.rmtree(dark_zurich / 'rgb_anon/train/day')
    folders = dict(img_path=str(dark_zurich / 'rgb_anon'), seg_map_path=str(folder.path))
    steps = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
    return dict(type='PseudoLabelledDataset', data_prefix=folders, pipeline=steps), label


PREDICTED = pytest.mark.parametrize('kind', ['pairs', 'nights alone'])


@PREDICTED
@pytest.mark.parametrize('size', [(96, 54), (54, 54)])
@pytest.mark.parametrize('orientation', range(2, 9))
def test_labels_that_were_predicted_on_the_turned_image_fit_it(
    tmp_path, kind, size, orientation
) -> None:
    init_default_scope('mmseg')
    config, _ = predicted(tmp_path, kind, orientation, size)
    data = build_dataset(config)
    check_dataset(data)
    sample = data[2]['target_night'] if kind == 'pairs' else data[2]
    assert sample['img'].shape[:2] == sample['gt_seg_map'].shape


@PREDICTED
def test_predicted_labels_must_be_upright_and_of_the_turned_size(tmp_path, kind) -> None:
    init_default_scope('mmseg')
    config, label = predicted(tmp_path, kind, 6, (54, 96))
    pixels = Image.open(label)
    for size, orientation, sentence in (
        ((54, 96), 1, 'expected a label of the turned 96x54 pixels'),
        ((48, 27), 1, 'has 48x27 pixels, but its image .* has 96x54: expected equal sizes'),
        ((96, 54), 3, 'has the EXIF orientation 3, and labels are never turned'),
    ):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pixels.resize(size).save(label, exif=exif)
        with pytest.raises(DatasetCheckError, match=sentence):
            check_dataset(build_dataset(config))


@pytest.mark.parametrize(
    ('case', 'sentence'),
    [
        ('a_upright', None),
        ('b_stored', 'orientation 6 turns it when it is loaded'),
        ('c_upside_down', 'the sizes do not tell'),
    ],
)
def test_photos_of_a_camera(root, real_cases, case, sentence) -> None:
    cases = real_cases / 'exif'
    shutil.copy(cases / f'{case}_leftImg8bit.jpg', image_path(root, '.jpg'))
    shutil.copy(
        cases / f'{case}_gtFine_labelTrainIds.png',
        root / f'gtFine/{STEM}_gtFine_labelTrainIds.png',
    )
    if sentence is None:
        data = dataset(root, '.jpg')
        check_dataset(data)
        assert data[2]['img'].shape[:2] == data[2]['gt_seg_map'].shape
    else:
        assert sentence in refused(root)
