"""The digest of a file follows its content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mmseg_ccdistill.runtime.file_digest import file_digest, listing_digest


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / 'a.bin'
    content = os.urandom(3 * 2**20 + 5)  # several chunks
    path.write_bytes(content)
    assert file_digest(path) == hashlib.sha256(content).hexdigest()
    path.write_bytes(b'other')
    assert file_digest(str(path)) == hashlib.sha256(b'other').hexdigest()


def test_a_folder_is_told_by_the_names_and_sizes_of_its_files(tmp_path: Path) -> None:
    (tmp_path / 'a/b').mkdir(parents=True)
    (tmp_path / 'a/b/x').write_text('1')
    before = listing_digest(tmp_path / 'a')
    (tmp_path / 'a/.hidden').write_text('2')
    (tmp_path / 'a/b/x').write_text('3')  # the content is not read
    assert listing_digest(tmp_path / 'a') == before
    (tmp_path / 'a/b/x').write_text('33')
    assert listing_digest(tmp_path / 'a') != before
    assert listing_digest(tmp_path / 'a/b/x') == file_digest(tmp_path / 'a/b/x')
