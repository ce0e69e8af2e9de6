"""The digest of a file follows its content."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from mmseg_ccdistill.runtime.file_digest import file_digest


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    path = tmp_path / 'a.bin'
    content = os.urandom(3 * 2**20 + 5)  # several chunks
    path.write_bytes(content)
    assert file_digest(path) == hashlib.sha256(content).hexdigest()
    path.write_bytes(b'other')
    assert file_digest(str(path)) == hashlib.sha256(b'other').hexdigest()
