"""Lists of day-night pairs."""

from pathlib import Path

import pytest
from tiny_data import DAYS, NIGHTS, make_dark_zurich, picture, write

from mmseg_ccdistill.datasets import DatasetCheckError, read_pair_list

PUBLISHED = Path(__file__).parents[3] / 'shared/data/lists/zurich_dn_pair_train.csv'


def test_the_list_gives_pairs_of_night_and_day(tmp_path):
    root = make_dark_zurich(tmp_path)
    pairs = read_pair_list(str(root / 'lists/zurich_dn_pair_train.csv'))
    assert pairs == list(zip(NIGHTS, DAYS, strict=True))


@pytest.mark.skipif(not PUBLISHED.exists(), reason=f'no published list at {PUBLISHED}')
def test_the_published_list():
    pairs = read_pair_list(str(PUBLISHED))
    assert len(pairs) == 2416
    assert len({night for night, _ in pairs}) == 2416
    assert len({day for _, day in pairs}) == 1426
    assert pairs[0] == (
        'train/night/GOPR0351/GOPR0351_frame_000001',
        'train/day/GOPR0345/GOPR0345_frame_000081',
    )


def test_blank_lines_spaces_crlf_and_bom_do_not_matter(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_bytes(b'\xef\xbb\xbfa/night/1, a/day/1\r\n\r\na/night/2,a/day/1\r\n')
    assert read_pair_list(str(path)) == [('a/night/1', 'a/day/1'), ('a/night/2', 'a/day/1')]


def test_words_of_both_lights_tell_nothing(tmp_path):
    path = tmp_path / 'list.csv'
    path.write_text('tuesday1,goodnight1\nnight_drive/day_1,night_drive/night_1\nday,x\n')
    assert len(read_pair_list(str(path))) == 3


def test_a_folder_of_lists_is_read_whole_and_sorted_by_night(tmp_path):
    for sequence, lines in (('A', 'n/3,d/1\n'), ('B', 'n/1,d/2\nn/2,d/2\n')):
        (tmp_path / sequence).mkdir()
        (tmp_path / sequence / f'{sequence}_ref_day.csv').write_text(lines)
    assert read_pair_list(str(tmp_path)) == [('n/1', 'd/2'), ('n/2', 'd/2'), ('n/3', 'd/1')]


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('n/1,d/1\nn/2\n', r"Line 2 .*list.csv' is 'n/2': expected two stems"),
        ('n/1,\n', 'Line 1 .*expected two stems'),
        ('n/1,d/1,x\n', 'Line 1 .*expected two stems'),
        ('n/1,d/1_rgb_anon.png\n', r'Line 1 .*d/1_rgb_anon.png.*without suffix'),
        ('a/day/1,a/night/1\n', 'Line 1 .*day image first.*swap the columns'),
        ('a/day/1,a/twilight/1\n', 'Line 1 .*day image first.*swap the columns'),
        ('n/1,d/1\nday_0,night_0\n', 'Line 2 .*day image first.*swap the columns'),
        ('photos/Day-3b,photos/3b.night\n', 'Line 1 .*day image first.*swap the columns'),
        ('\n', "list.csv' is empty"),
    ],
)
def test_a_bad_line_is_named(tmp_path, text, message):
    path = tmp_path / 'list.csv'
    path.write_text(text)
    with pytest.raises(DatasetCheckError, match=message):
        read_pair_list(str(path))


def test_a_missing_or_binary_list_is_named(tmp_path):
    with pytest.raises(DatasetCheckError, match="none.csv' does not exist"):
        read_pair_list(str(tmp_path / 'none.csv'))
    write(tmp_path / 'list.png', picture(0))
    with pytest.raises(DatasetCheckError, match="list.png' is no text"):
        read_pair_list(str(tmp_path / 'list.png'))
