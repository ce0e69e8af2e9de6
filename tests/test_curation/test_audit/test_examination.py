"""Trees of every layout, right and broken; each fault has its sentence."""

from pathlib import Path

import numpy as np
import pytest
from broken_trees import (
    ACDC_LABEL,
    BREAKS,
    CITY,
    CITY_LABEL,
    NIGHT,
    PLAIN,
    PREPARE,
    VAL_LABEL,
    dangling,
    label,
    remove,
    truncate,
)
from layouts import (
    MAKERS,
    bdd100k_night_list,
    make_bdd100k,
    miniature_sets,
    train_ids,
    write_image,
    write_label,
)
from PIL import Image

from mmseg_ccdistill.curation.audit import examine
from mmseg_ccdistill.curation.prepare import (
    TWILIGHT_PAIRS,
    write_bdd100k_night,
    write_dark_zurich_pairs,
    write_train_ids,
)
from mmseg_ccdistill.datasets.published_sets import NIGHT_LIST, PUBLISHED_SETS, TWILIGHT_LIST

TWILIGHT = 'rgb_anon/train/twilight/GOPR0348/GOPR0348_frame_000001_rgb_anon.png'


def prepare(name: str, root: Path) -> Path:
    """A miniature set as ``prepare.py`` leaves it."""
    MAKERS[name](root)
    finish(name, root)
    return root


def finish(name: str, root: Path) -> None:
    if name == 'cityscapes':
        write_train_ids(str(root), workers=1)
    elif name == 'dark_zurich':
        write_dark_zurich_pairs(str(root))
        write_dark_zurich_pairs(str(root), pairs_of=TWILIGHT_PAIRS)
    elif name == 'bdd100k':
        published = root.parent / 'images_trainval_night_correct_filenames.txt'
        published.write_text(bdd100k_night_list())
        write_bdd100k_night(str(root), str(published))


def run(name: str, root: Path, **kwargs):
    return examine({name: str(root)}, workers=1, sets=miniature_sets(), **kwargs)


def faults(report) -> list[tuple[str, str]]:
    return [(found.check, found.text) for found in report.findings if found.verdict == 'fault']


@pytest.mark.parametrize('quick', [False, True])
@pytest.mark.parametrize('name', list(MAKERS))
def test_a_published_tree_is_healthy(tmp_path, name, quick):
    report = run(name, prepare(name, tmp_path / name), quick=quick)
    assert report.is_healthy
    lines = {found.check: found.text for found in report.findings if found.verdict == 'ok'}
    expected = {
        'cityscapes': ('train', '3 images, 64x32', '3 labels (trainIds)'),
        'dark_zurich': ('val night', '2 images, 64x32', '2 labels (trainIds)'),
        'acdc': ('val night', '2 images, 64x32', '2 labels (trainIds)'),
        'bdd100k': ('night', '3 images', '3 labels (trainIds)'),
        'night_driving': ('test night', '3 images, 64x32', '3 labels (trainIds)'),
    }
    check, images, labels = expected[name]
    if quick:
        read, labels = 'headers read', labels.replace('trainIds', 'values not read')
    else:
        read = 'every pixel read'
    assert lines[check] == f'{images}, {read}, {labels}'
    if name == 'dark_zurich':
        assert lines['pairs'] == '4 night images with 2 day images'
        assert lines['twilight pairs'] == '2 twilight images with 2 day images'


def test_without_a_list_of_twilight_a_note_says_who_reads_it(tmp_path):
    root = prepare('dark_zurich', tmp_path / 'dark_zurich')
    (root / TWILIGHT_LIST).unlink()
    report = run('dark_zurich', root)
    assert report.is_healthy
    (note,) = [found for found in report.findings if found.check == 'twilight pairs']
    assert (note.verdict, note.text) == (
        'note',
        f"The pair list '{root}/{TWILIGHT_LIST}' does not exist: expected 2 lines twilight,day; make it, "
        f'`{PREPARE} dark_zurich --root {root}`. Only GCMA and MGCDA read it.',
    )


def test_the_old_layout_of_bdd100k(tmp_path):
    root = make_bdd100k(tmp_path / 'bdd100k', 'old')
    finish('bdd100k', root)
    assert run('bdd100k', root).is_healthy


def test_the_published_list_of_bdd100k_night_as_it_is(tmp_path):
    root = prepare('bdd100k', tmp_path / 'bdd100k')
    (root / NIGHT_LIST).write_text(bdd100k_night_list())
    report = run('bdd100k', root)
    assert report.is_healthy and report.findings[0].text.startswith('3 images, ')


def test_a_label_of_road_and_sidewalk_is_no_mask(tmp_path):
    root = prepare('acdc', tmp_path / 'acdc')
    write_label(root / ACDC_LABEL, (train_ids('two classes') < 9).astype(np.uint8))
    assert run('acdc', root).is_healthy


@pytest.mark.parametrize('case', list(BREAKS))
def test_each_fault_has_its_sentence(tmp_path, case):
    name, break_it, check, sentence = BREAKS[case]
    root = prepare(name, tmp_path / name)
    break_it(root)
    report = run(name, root)
    command = f'{PREPARE} {name} {" ".join(PUBLISHED_SETS[name].archives)} --root {root}'
    expected = sentence.format(root=root, command=command)
    texts = [found for where, found in faults(report) if where == check]
    if '(*)' in expected:  # the words of the image library
        before, after = expected.split('*')
        assert any(found.startswith(before) and found.endswith(after) for found in texts), texts
    else:
        assert expected in texts
    assert not report.is_healthy
    assert not [found for found in report.findings if (found.check, found.verdict) == (check, 'ok')]


def test_the_flattened_acdc_of_other_projects(tmp_path):
    root = tmp_path / 'acdc'
    write_image(root / 'rgb_anon/train/a/a_frame_000001_rgb_anon.png')
    sentences = dict(faults(run('acdc', root)))
    assert sentences['val night'] == (
        f"The root {str(root)!r} holds 'rgb_anon/train': expected 'rgb_anon/night/val', the "
        f'conditions apart; unpack the archives anew, `{PREPARE} acdc rgb_anon_trainvaltest.zip '
        f'gt_trainval.zip --root {root}`.'
    )


def test_optional_splits_may_be_missing(tmp_path):
    root = prepare('dark_zurich', tmp_path / 'dark_zurich')
    remove('rgb_anon/test', 'rgb_anon/test_ref', 'rgb_anon/train/twilight')(root)
    report = run('dark_zurich', root)
    assert report.is_healthy
    notes = {found.check: found.text for found in report.findings if found.verdict == 'note'}
    assert notes['test night'] == (
        f"'{root}/rgb_anon/test/night' is not there; the recipe can do without."
    )
    assert set(notes) == {'test night', 'test reference', 'train twilight'}


@pytest.mark.parametrize('quick', [False, True])
def test_links_to_nothing_are_one_fault_each(tmp_path, quick):
    """The source of a linked set has moved."""
    root = prepare('dark_zurich', tmp_path / 'dark_zurich')
    for name in (TWILIGHT, VAL_LABEL):
        dangling(name)(root)
    found = faults(run('dark_zurich', root, quick=quick))
    assert sorted(check for check, _ in found) == ['train twilight', 'val night']
    assert all("a link to '/gone/x.png', which does not exist" in text for _, text in found)


def test_quick_reads_no_pixels(tmp_path):
    """The price of --quick: label values and a broken middle go unnoticed, a missing end does not."""
    root = prepare('cityscapes', tmp_path / 'cityscapes')
    write_label(root / CITY_LABEL, np.full_like(PLAIN, 200))
    assert run('cityscapes', root, quick=True).is_healthy
    truncate(CITY)(root)
    assert not run('cityscapes', root, quick=True).is_healthy
    assert len(faults(run('cityscapes', root))) == 2


def test_linked_trees_are_read_through_their_links(tmp_path):
    root = prepare('acdc', tmp_path / 'disk')
    (tmp_path / 'acdc').symlink_to(root)
    assert run('acdc', tmp_path / 'acdc').is_healthy
    apart = tmp_path / 'apart'
    apart.mkdir()
    for child in root.iterdir():
        (apart / child.name).symlink_to(child)
    assert run('acdc', apart).is_healthy


def test_folders_above_the_root_do_not_matter(tmp_path):
    """Trap: paths that are made by replacing 'val' or 'night' anywhere in a path."""
    above = tmp_path / 'train/val/test/night/rgb_anon_ref'
    for name in MAKERS:
        assert run(name, prepare(name, above / name)).is_healthy


def test_processes_find_what_one_process_finds(tmp_path):
    root = prepare('dark_zurich', tmp_path / 'dark_zurich')
    truncate(NIGHT)(root)
    label(VAL_LABEL, np.full_like(PLAIN, 26))(root)
    one = examine({'dark_zurich': str(root)}, workers=1, sets=miniature_sets())
    two = examine({'dark_zurich': str(root)}, workers=2, sets=miniature_sets())
    assert one.findings == two.findings and one.num_files == two.num_files == 19


def test_palette_labels_are_labels(tmp_path):
    root = prepare('cityscapes', tmp_path / 'cityscapes')
    image = Image.open(root / CITY_LABEL).convert('P')
    image.putdata(train_ids(Path(CITY).name).ravel().tolist())
    image.save(root / CITY_LABEL)
    assert Image.open(root / CITY_LABEL).mode == 'P'
    assert run('cityscapes', root).is_healthy


def test_an_unknown_set():
    with pytest.raises(ValueError, match="^There is no set 'kitti': expected one of cityscapes, "):
        examine({'kitti': '.'})


def test_the_published_numbers():
    """Counts that papers and file lists state, written down here a second time."""
    counts = {
        name: {split.name: split.count for splits in published.layouts.values() for split in splits}
        for name, published in PUBLISHED_SETS.items()
    }
    assert counts['cityscapes'] == {'train': 2975, 'val': 500, 'test': 1525}
    zurich = counts['dark_zurich']
    assert zurich['train night'] + zurich['train day'] + zurich['train twilight'] == 8377
    assert sum(zurich.values()) == 8779
    assert (zurich['train night'], zurich['val night'], zurich['test night']) == (2416, 50, 151)
    night = [counts['acdc'][f'{split} night'] for split in ('train', 'val', 'test')]
    assert night == [400, 106, 500]
    assert counts['bdd100k'] == {'night': 87}
    assert counts['night_driving'] == {'test night': 50}
    for published in PUBLISHED_SETS.values():
        for splits in published.layouts.values():
            for split in splits:
                assert not split.sequences or sum(split.sequences.values()) == split.count
