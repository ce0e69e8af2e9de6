import csv
from pathlib import Path

import pytest
from layouts import BDD_NIGHT, DZ_PAIRS, bdd100k_night_list, make_bdd100k, make_dark_zurich

from mmseg_ccdistill.curation.prepare import (
    PreparationError,
    read_dark_zurich_pairs,
    write_bdd100k_night,
    write_dark_zurich_pairs,
)
from mmseg_ccdistill.datasets import DatasetCheckError
from mmseg_ccdistill.datasets.published_sets import NIGHT_LIST, PAIR_LIST

ROWS = sorted(f'train/night/{night},train/day/{day}' for night, day in DZ_PAIRS)


@pytest.fixture
def root(tmp_path):
    return make_dark_zurich(tmp_path / 'dark_zurich')


@pytest.fixture(scope='session')
def published_lists(repository_root) -> Path:
    folder = repository_root.parent / 'shared' / 'data' / 'lists'
    if not folder.is_dir():
        pytest.skip('the published lists (shared/data/lists beside the checkout) are not there')
    return folder


def refused(function, *args):
    with pytest.raises(ValueError) as info:
        function(*map(str, args))
    assert isinstance(info.value, (PreparationError, DatasetCheckError))
    return str(info.value)


def test_pairs_come_from_the_correspondences(root):
    path, count = write_dark_zurich_pairs(str(root))
    assert Path(path) == root / PAIR_LIST and count == 4
    assert Path(path).read_text().splitlines() == ROWS


def test_a_csv_in_any_order_gives_the_same_list(root, tmp_path):
    write_dark_zurich_pairs(str(root))
    expected = (root / PAIR_LIST).read_bytes()
    (tmp_path / 'mine.csv').write_bytes('\r\n'.join(reversed(ROWS)).encode('utf-8-sig'))
    other = tmp_path / 'other'
    write_dark_zurich_pairs(str(other), str(tmp_path / 'mine.csv'))
    assert (other / PAIR_LIST).read_bytes() == expected
    write_dark_zurich_pairs(str(root), str(tmp_path / 'mine.csv'))  # equal: kept


def test_a_list_without_correspondences_is_checked_and_kept(tmp_path):
    path = tmp_path / PAIR_LIST
    path.parent.mkdir()
    path.write_text('\n'.join(reversed(ROWS)))
    before = path.read_bytes()
    assert write_dark_zurich_pairs(str(tmp_path)) == (str(path), 4)
    assert path.read_bytes() == before


def test_another_list_is_not_overwritten(root):
    path = root / PAIR_LIST
    path.parent.mkdir()
    path.write_text(f'{ROWS[0]}\n')
    assert refused(write_dark_zurich_pairs, root) == (
        f'The list {str(path)!r} is there with other lines: expected the 4 that were read now; '
        'move it away and run this again.'
    )
    assert path.read_text() == f'{ROWS[0]}\n'


def test_no_pairs(tmp_path):
    assert refused(write_dark_zurich_pairs, tmp_path) == (
        f'The folder {str(tmp_path / "corresp/train/night")!r} does not exist: expected the pairs '
        'that Dark_Zurich_train_anon.zip holds; give that archive as a source, or an existing list '
        'with --list.'
    )


def test_a_night_with_two_days(root):
    night = 'train/night/GOPR0351/GOPR0351_frame_000001'
    with open(root / 'corresp/train/night/GOPR0351_ref_day.csv', 'a') as file:
        file.write(f'{night},train/day/GOPR0345/GOPR0345_frame_000082\n')
    source = root / 'corresp/train/night'
    assert refused(write_dark_zurich_pairs, root) == (
        f'The pair list {str(source)!r} pairs {night!r} with '
        "'train/day/GOPR0345/GOPR0345_frame_000081' and with "
        "'train/day/GOPR0345/GOPR0345_frame_000082': expected one day image for every night "
        'image; remove one of the lines.'
    )


def test_the_published_pairs_from_correspondences_and_from_csv(published_lists, tmp_path):
    """2416 rows; the sequences and how often the most used day occurs are those of the set."""
    published = published_lists / 'zurich_dn_pair_train.csv'
    with open(published, newline='') as file:
        rows = list(csv.reader(file))
    by_sequence: dict[str, list[list[str]]] = {}
    for row in rows:
        by_sequence.setdefault(row[0].split('/')[2], []).append(row)
    assert {key: len(value) for key, value in by_sequence.items()} == {
        'GOPR0351': 1027,
        'GOPR0376': 1061,
        'GP010376': 328,
    }
    shipped = tmp_path / 'root/corresp/train/night'
    for sequence, part in by_sequence.items():
        (shipped / sequence).mkdir(parents=True)
        with open(shipped / sequence / f'{sequence}_ref_day.csv', 'w', newline='') as file:
            csv.writer(file).writerows(part[::-1])
    _, count = write_dark_zurich_pairs(str(tmp_path / 'root'))
    write_dark_zurich_pairs(str(tmp_path / 'other'), str(published))
    assert count == 2416
    assert (tmp_path / 'root' / PAIR_LIST).read_bytes() == published.read_bytes()
    assert (tmp_path / 'other' / PAIR_LIST).read_bytes() == published.read_bytes()
    pairs = read_dark_zurich_pairs(str(published))
    days = [day for _, day in pairs]
    assert len(set(days)) == 1426
    assert days.count('train/day/GP010374/GP010374_frame_000610') == 70


@pytest.mark.parametrize('layout', ['new', 'old'])
def test_stems_of_bdd100k_night_fit_both_layouts(tmp_path, layout):
    root = make_bdd100k(tmp_path / 'bdd', layout)
    published = tmp_path / 'images_trainval_night_correct_filenames.txt'
    published.write_text(bdd100k_night_list())
    path, count = write_bdd100k_night(str(root), str(published))
    assert count == 3
    assert Path(path) == root / NIGHT_LIST
    assert Path(path).read_text().splitlines() == sorted(BDD_NIGHT)
    assert write_bdd100k_night(str(root), path) == (path, 3)  # its own list is a list, too


def test_the_published_list_may_lie_at_its_place(tmp_path):
    root = make_bdd100k(tmp_path / 'bdd')
    path = root / NIGHT_LIST
    path.parent.mkdir()
    path.write_text(bdd100k_night_list())
    assert write_bdd100k_night(str(root), str(path)) == (str(path), 3)
    assert path.read_text() == bdd100k_night_list()


@pytest.mark.parametrize('layout', ['new', 'old'])
def test_the_published_87(published_lists, tmp_path, layout):
    published = published_lists / 'bdd100k_night_images.txt'
    stems = [
        line.removeprefix('seg/images/').removesuffix('.jpg')
        for line in published.read_text().splitlines()
    ]
    root = make_bdd100k(tmp_path, layout, (4, 2), stems)
    path, count = write_bdd100k_night(str(root), str(published))
    assert count == 87
    lines = Path(path).read_text().splitlines()
    assert lines == sorted(stems)
    assert sum(line.startswith('train/') for line in lines) == 74
    before = Path(path).read_bytes()
    write_bdd100k_night(str(root), str(published_lists / 'bdd100k_night_gt.txt'))
    assert Path(path).read_bytes() == before  # the list of labels names the same images


def test_faults_of_bdd100k_night(tmp_path):
    root = make_bdd100k(tmp_path / 'bdd')
    listed = tmp_path / 'list.txt'
    assert refused(write_bdd100k_night, root, listed) == (
        f'The list {str(listed)!r} does not exist: expected '
        'images_trainval_night_correct_filenames.txt of MGCDA; give its path with --list.'
    )
    listed.write_text('\n')
    assert refused(write_bdd100k_night, root, listed) == (
        f'The list {str(listed)!r} is empty: expected one image a line; download it again.'
    )
    listed.write_text('seg/images/train/00aad4a0-ee8135fe.jpg\nimages/100k/train/x.jpg\n')
    assert refused(write_bdd100k_night, root, listed).startswith(
        f'Line 2 of the list {str(listed)!r}'
    )
    listed.write_text(bdd100k_night_list())
    missing = root / 'labels/sem_seg/masks/val/a5fa7888-00000000.png'
    missing.unlink()
    assert refused(write_bdd100k_night, root, listed) == (
        f'The file {str(missing)!r} of the list {str(listed)!r} does not exist: expected image and '
        'label of every line, from train and from val; unpack both archives.'
    )
    assert refused(write_bdd100k_night, tmp_path, listed) == (
        f"The root {str(tmp_path)!r} holds no images of BDD100K: expected the folder 'images/10k' "
        "or 'seg/images'; give bdd100k_images_10k.zip and bdd100k_sem_seg_labels_trainval.zip as "
        'sources.'
    )
