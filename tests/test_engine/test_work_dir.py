from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmseg_ccdistill.engine.work_dir import make_work_dir


def test_folders_are_made_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / 'a' / 'b'
    make_work_dir(str(folder))
    (folder / 'log').write_text('kept')
    make_work_dir(str(folder))
    assert (folder / 'log').read_text() == 'kept'


@pytest.mark.parametrize(
    ('inside', 'reason'), [('', 'File exists'), ('/run', 'Not a directory')], ids=['is', 'in']
)
def test_a_file_in_the_way_is_named(tmp_path: Path, inside: str, reason: str) -> None:
    (tmp_path / 'file').write_text('')
    path = f'{tmp_path}/file{inside}'
    with pytest.raises(ValueError) as caught:
        make_work_dir(path)
    assert str(caught.value) == (
        f'the work dir {path!r} cannot be made ({reason}): expected a folder that can be written; '
        'name another one with --work-dir'
    )


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'access', lambda path, mode: False)  # root may write anywhere
    with pytest.raises(ValueError) as caught:
        make_work_dir(str(tmp_path))
    assert str(caught.value) == (
        f'the work dir {str(tmp_path)!r} is read-only: expected a folder that can be written; name '
        'another one with --work-dir or change its permissions'
    )
