"""Labels whose indices do not show their classes are refused, and all others train."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.datasets import CityscapesDataset
from mmseg.registry import TRANSFORMS
from PIL import Image
from tiny_data import make_cityscapes, source_config

from mmseg_ccdistill.curation.audit.file_checks import check_files
from mmseg_ccdistill.curation.audit.file_facts import Request, read_file
from mmseg_ccdistill.curation.audit.listing import ListedSplit
from mmseg_ccdistill.datasets import DatasetCheckError, check_dataset
from mmseg_ccdistill.datasets.file_check import build_dataset
from mmseg_ccdistill.datasets.image_facts import read_facts
from mmseg_ccdistill.datasets.label_palette import voc_colours
from mmseg_ccdistill.datasets.published_sets import CITYSCAPES

LABEL = 'gtFine/train/ulm/ulm_000002_000019_gtFine_labelTrainIds.png'
IMAGE = 'leftImg8bit/train/ulm/ulm_000002_000019_leftImg8bit.png'
ROAD, WALL = (128, 64, 128), (102, 102, 156)
CLASSES = [tuple(colour) for colour in CityscapesDataset.METAINFO['palette']]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_cityscapes(tmp_path / 'cityscapes')


def ids(*values: int) -> np.ndarray:
    """A label of 80x40 pixels with these values in stripes."""
    return np.resize(np.repeat(np.array(values, np.uint8), 5), (40, 80))


def indexed(indices: np.ndarray, colours: dict[int, tuple], bits: int = 8, **kwargs) -> bytes:
    """A palette PNG of a bit depth; colours by index, black between them."""
    image = Image.fromarray(indices).convert('L')
    palette = [colours.get(i, (0, 0, 0)) for i in range(max(colours) + 1)]
    image.putpalette([channel for colour in palette for channel in colour])
    buffer = io.BytesIO()
    image.save(buffer, 'PNG', bits=bits, **kwargs)
    return buffer.getvalue()


def renumbered(label: np.ndarray, order: list[int], bits: int = 8, colours=None) -> bytes:
    """What an optimiser makes of a label: the same picture, the values numbered in an order."""
    colours = colours or {value: (value,) * 3 for value in order}
    indices = np.zeros_like(label)
    for index, value in enumerate(order):
        indices[label == value] = index
    return indexed(indices, {i: colours[value] for i, value in enumerate(order)}, bits)


def replace(root: Path, content: bytes) -> Path:
    (root / LABEL).write_bytes(content)
    return root / LABEL


def check(root: Path, **kwargs) -> None:
    check_dataset(build_dataset(source_config(root, **kwargs)))


def refused(root: Path, **kwargs) -> str:
    with pytest.raises(DatasetCheckError) as info:
        check(root, **kwargs)
    return str(info.value)


def loaded(path: Path) -> np.ndarray:
    """What training reads."""
    init_default_scope('mmseg')
    transform = TRANSFORMS.build(dict(type='LoadAnnotations'))
    info = dict(seg_map_path=str(path), seg_fields=[], reduce_zero_label=False)
    return transform(info)['gt_seg_map']


@pytest.mark.parametrize(
    ('order', 'bits', 'index', 'grey'),
    [
        ([255, 0], 1, 1, 0),
        ([0, 10], 1, 1, 10),
        ([0, 2, 10, 255], 2, 1, 2),
        ([10, 0, 1, 2, 255, 18], 4, 0, 10),
        ([0, 1, 2, 255], 8, 3, 255),
    ],
)
def test_greys_of_other_numbers_are_refused(root, order, bits, index, grey) -> None:
    label = ids(*order)
    path = replace(root, renumbered(label, order, bits))
    shown = np.asarray(Image.open(path).convert('L'))
    assert np.array_equal(shown, label) and not np.array_equal(loaded(path), label)
    # ignore_index is looked at, too, where it has become another index
    index, grey = (0, 255) if order[0] == 255 else (index, grey)
    assert refused(root) == (
        f"The label '{path}' holds the index {index}, which shows grey {grey}: expected every index to be "
        'its own grey, because training reads the indices (PNG optimisers number them anew); write the '
        "greys as one channel, Image.open(FILE).convert('L').save(FILE) of Pillow, or restore the label "
        'from before it was made smaller (docs/data.md has the lines).'
    )
    Image.open(path).convert('L').save(path)  # the advice
    check(root)
    assert np.array_equal(loaded(path), label)


def test_a_blank_palette_tells_nothing(root) -> None:
    label = ids(0, 1, 13)
    replace(root, indexed(label, dict.fromkeys(range(256), (0, 0, 0))))
    check(root)


def test_indices_that_a_viewer_shows_as_light_greys_are_not_advised_away(root) -> None:
    label = ids(0, 1, 13)
    path = replace(root, indexed(label, {i: (13 * i,) * 3 for i in range(19)}))
    assert refused(root).endswith(
        'if the indices are the ids, write them without the palette, '
        'Image.fromarray(np.asarray(Image.open(FILE))).save(FILE) of numpy and Pillow, else restore the label '
        'from before it was made smaller (docs/data.md has the lines).'
    )
    Image.fromarray(np.asarray(Image.open(path))).save(path)  # the advice
    check(root)
    assert np.array_equal(loaded(path), label)


def test_one_bit_of_grey_is_refused(root) -> None:
    label = ids(0, 255)
    image = Image.fromarray(label).convert('1')
    image.save(root / LABEL)
    assert loaded(root / LABEL).max() == 1  # sidewalk, and not ignored
    assert 'holds the index 1, which shows grey 255' in refused(root)
    Image.fromarray(ids(0, 0)).convert('1').save(root / LABEL)
    check(root)


def test_the_mask_of_two_classes_is_right(root) -> None:
    metainfo = dict(classes=('a', 'b'), palette=[[5, 5, 5], [9, 9, 9]])
    config = dict(type='BaseSegDataset', img_suffix='_leftImg8bit.png', metainfo=metainfo,
                  seg_map_suffix='_gtFine_labelTrainIds.png')  # fmt: skip
    for path in root.rglob('*labelTrainIds.png'):
        Image.fromarray(ids(0, 255)).convert('1').save(path)
    check(root, **config)
    replace(root, indexed(ids(0, 1), {0: (255,) * 3, 1: (0,) * 3}, 1))  # inverted
    assert 'holds the index 0, which shows grey 255' in refused(root, **config)


@pytest.mark.parametrize('transparent', [{}, {'transparency': 0}, {'transparency': b'\0\x80\xff'}])
def test_greys_of_their_own_numbers_are_right(root, transparent) -> None:
    label = ids(0, 2, 10, 255)
    path = replace(root, indexed(label, {i: (i,) * 3 for i in range(256)}, **transparent))
    assert np.array_equal(loaded(path), label)
    check(root)


def test_sparse_greys_of_their_own_numbers_are_right(root) -> None:
    replace(root, indexed(ids(0, 2, 10), {0: (0,) * 3, 2: (2,) * 3, 10: (10,) * 3}, 4))
    check(root)


@pytest.mark.parametrize('values', [(0, 1, 2, 18, 255), (7,), (0, 7), (8, 7, 255), (2, 5)])
def test_the_palettes_of_voc_and_of_the_classes_are_right(root, values) -> None:
    label = ids(*values)
    replace(root, indexed(label, dict(enumerate(voc_colours()))))
    check(root)
    replace(root, indexed(label, dict(enumerate(CLASSES))))  # 255 has no colour
    check(root)
    replace(root, indexed(label, {**dict(enumerate(CLASSES)), 255: (0, 0, 0)}))
    check(root)
    own = {i: (3 * i + 1, 255 - i, 90) for i in range(19)}
    replace(root, indexed(label, own))
    check(root)


def test_a_palette_of_ones_own_may_have_greys(root) -> None:
    own = {0: (200, 0, 0), 1: (90, 90, 90), 2: (180, 180, 180), 3: (0, 1, 2)}
    replace(root, indexed(ids(1, 2), own))
    check(root)


def test_vocs_palette_is_the_published_one() -> None:
    # VOC2012 devkit: background, aeroplane, bicycle, …, tv/monitor, void
    colours = voc_colours()
    assert colours[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert (colours[7], colours[20], colours[255]) == (
        (128, 128, 128),
        (0, 64, 128),
        (224, 224, 192),
    )


def test_a_permuted_class_palette_is_refused(root) -> None:
    order = [3, 0, 18]
    colours = dict(enumerate(CLASSES))
    path = replace(root, renumbered(ids(*order), order, 2, colours))
    assert refused(root) == (
        f"The label '{path}' holds the index 0, which shows the colour of class 3 (wall): expected every "
        'index to be the id of its class, because training reads the indices (PNG optimisers number them '
        'anew); restore the label from before it was made smaller (docs/data.md has the lines).'
    )


def test_one_colour_of_ignored_pixels_hides_no_permutation(root) -> None:
    colours = {**dict(enumerate(CLASSES)), 255: (0, 0, 0)}
    replace(root, renumbered(ids(255, 0, 3), [255, 0, 3], 2, colours))
    assert 'holds the index 1, which shows the colour of class 0 (road)' in refused(root)


def test_grey_classes_are_named_by_their_class(root) -> None:
    replace(root, renumbered(ids(2, 5), [2, 5], 1, dict(enumerate(CLASSES))))  # building and pole
    assert 'the index 0, which shows the colour of class 2 (building)' in refused(root)


def test_a_choice_of_classes_keeps_the_colours_of_the_ids_on_disk(root) -> None:
    label = ids(0, 3, 255)
    replace(root, indexed(label, dict(enumerate(CLASSES))))
    metainfo = dict(classes=('wall', 'road'), palette=[list(WALL), list(ROAD)])
    check(root, metainfo=metainfo)
    replace(root, renumbered(label, [3, 0, 255], 2, {0: ROAD, 3: WALL, 255: (0, 0, 0)}))
    assert 'holds the index 0, which shows the colour of class 3 (wall)' in refused(
        root, metainfo=metainfo
    )


def test_ids_that_begin_at_one(root) -> None:
    metainfo = dict(classes=('a', 'b', 'c'), palette=[[9, 0, 0], [0, 9, 0], [0, 0, 9]])
    config = dict(type='BaseSegDataset', img_suffix='_leftImg8bit.png', metainfo=metainfo,
                  seg_map_suffix='_gtFine_labelTrainIds.png', reduce_zero_label=True)  # fmt: skip
    right = {0: (1, 2, 3), 1: (9, 0, 0), 2: (0, 9, 0), 3: (0, 0, 9)}
    for path in root.rglob('*labelTrainIds.png'):
        path.write_bytes(indexed(ids(0, 1, 2, 3), right, 2))
    check(root, **config)
    replace(root, indexed(ids(0, 1, 2, 3), {**right, 1: (0, 9, 0), 2: (9, 0, 0)}, 2))
    assert 'the index 1, which shows the colour of class 2 (b)' in refused(root, **config)


def test_a_permuted_palette_of_voc_is_refused(root) -> None:
    colours = dict(enumerate(voc_colours()))
    path = replace(root, renumbered(ids(1, 0, 4), [1, 0, 4], 2, colours))
    assert refused(root).startswith(
        f"The label '{path}' holds the index 0, which shows the colour of index 1 of PASCAL VOC's "
        'palette: expected every index to be its own colour, because'
    )


def test_two_labels_that_show_an_index_in_two_colours_are_refused(root) -> None:
    own = {i: (3 * i + 1, 200 - i, 90) for i in range(19)}
    first, second = (root / LABEL.replace('_000002_', f'_00000{i}_') for i in (0, 1))
    first.write_bytes(indexed(ids(0, 1, 2), own))
    second.write_bytes(indexed(ids(0, 1, 4), own))
    check(root)
    second.write_bytes(renumbered(ids(0, 1, 4), [0, 4, 1], 2, own))
    assert refused(root) == (
        f"The label '{second}' shows the index 1 in the colour (13, 196, 90), and the label '{first}' in "
        '(4, 199, 90): expected one colour for each class, because training reads the indices (PNG '
        'optimisers number them anew); restore the label from before it was made smaller (docs/data.md '
        'has the lines).'
    )


def test_the_verdict_is_remembered(root) -> None:
    replace(root, renumbered(ids(0, 10), [10, 0], 1))
    assert refused(root) == refused(root)  # the second is made from the manifest


def listed(root: Path) -> ListedSplit:
    """The split of the doctor that holds one image."""
    split = next(s for s in CITYSCAPES.layouts['published'] if s.name == 'train')
    image, label = str(root / IMAGE), str(root / LABEL)
    return ListedSplit(CITYSCAPES, str(root), split, (image,), {image: label})


def test_the_doctor_refuses_them_alike(root) -> None:
    path = str(replace(root, renumbered(ids(0, 10), [10, 0], 1)))
    facts = {
        name: read_file(Request(name, True, name == path)) for name in (str(root / IMAGE), path)
    }
    texts = [finding.text for finding in check_files(listed(root), facts)]
    assert any(f"The label '{path}' holds the index 0, which shows grey 10" in t for t in texts)


def test_the_lines_of_the_page_write_the_ids_back(root, tmp_path, monkeypatch) -> None:
    page = (Path(__file__).resolve().parents[2] / 'docs/data.md').read_text(encoding='utf-8')
    lines = page.partition('## Labels with a palette')[2].partition('```python\n')[2]
    label = ids(0, 3, 255)
    colours = {**dict(enumerate(CLASSES)), 255: (0, 0, 0)}
    (tmp_path / 'data').mkdir()
    root.rename(tmp_path / 'data/cityscapes')
    monkeypatch.chdir(tmp_path)
    for content in (
        renumbered(label, [3, 255, 0], 2),
        renumbered(label, [3, 255, 0], 2, colours),
        (tmp_path / 'data/cityscapes' / LABEL).read_bytes(),
    ):
        path = replace(tmp_path / 'data/cityscapes', content)
        with Image.open(path) as image:
            expected = label if image.mode == 'P' else np.asarray(image)
        exec(lines.partition('```')[0], {})  # noqa: S102
        assert np.array_equal(loaded(path), expected)
        check(tmp_path / 'data/cityscapes')


def test_a_real_label_before_and_after_an_optimiser(root, real_cases) -> None:
    cases = real_cases / 'palette_label'
    before, after = (cases / f'{name}_labelTrainIds.png' for name in ('before', 'after'))
    with Image.open(before) as first, Image.open(after) as second:
        assert np.array_equal(np.asarray(first), np.asarray(second.convert('L')))
        Image.new('RGB', first.size).save(root / IMAGE)
    assert read_facts(str(before), True).palette == ''
    shutil.copy(before, root / LABEL)
    check(root)
    shutil.copy(after, root / LABEL)
    assert 'which shows grey' in refused(root)
