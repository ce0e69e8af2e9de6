from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.output_place import check_output_file, check_output_folder


@pytest.mark.parametrize('name', ['', 'new', 'new/deeper', '../{}/new'])
def test_a_place_that_can_be_written_is_left_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = name.format(tmp_path.name)
    check_output_folder(folder)
    check_output_folder(tmp_path / folder)
    check_output_file(Path(folder, 'a.png'))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('below', ['', '/x', '/x/y'])
def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path: Path, below: str) -> None:
    (tmp_path / 'file').write_text('mine')
    folder = f'{tmp_path}/file{below}'
    sentence = f'nothing can be written into {folder!r} (Not a directory): expected a folder with the right to write; '
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}name another with --out$'):
        check_output_folder(folder)
    with pytest.raises(UserInputError, match=f'^{re.escape(sentence)}choose another DST$'):
        check_output_file(f'{folder}/a.png', 'choose another DST')
    assert (tmp_path / 'file').read_text() == 'mine'


def test_a_link_to_nowhere_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to(tmp_path / 'gone')
    with pytest.raises(UserInputError, match='No such file or directory'):
        check_output_folder(tmp_path / 'link/new')


def test_a_folder_where_the_file_should_be_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserInputError) as caught:
        check_output_file(tmp_path)
    assert str(caught.value) == (
        f"'{tmp_path}' is a folder: expected the name of a file; name another with --out"
    )


@pytest.mark.skipif(os.getuid() == 0, reason='root may write everywhere')
def test_a_folder_without_the_right_to_write_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / 'locked').mkdir(mode=0o500)
    for folder in ('locked', 'locked/new'):
        with pytest.raises(UserInputError, match=r'locked.* \(Permission denied\)'):
            check_output_folder(tmp_path / folder)


def test_what_the_system_says_is_in_the_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(dir: Path) -> None:
        raise OSError(30, 'Read-only file system', str(dir))

    monkeypatch.setattr(tempfile, 'TemporaryFile', refuse)
    with pytest.raises(UserInputError, match=r'written into .*new. \(Read-only file system\)'):
        check_output_folder(tmp_path / 'new')
