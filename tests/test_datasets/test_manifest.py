"""The manifest in a root that several people share."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_data import make_cityscapes, source_config

from mmseg_ccdistill.datasets import check_dataset, file_scan, manifest
from mmseg_ccdistill.datasets.file_check import build_dataset
from mmseg_ccdistill.datasets.manifest import MANIFEST_NAME
from mmseg_ccdistill.runtime.atomic_file import write_atomically


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return make_cityscapes(tmp_path / 'cityscapes')


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that were opened by the scan."""
    paths: list[str] = []
    original = file_scan.read_facts

    def spy(path: str, with_values: bool) -> object:
        paths.append(path)
        return original(path, with_values)

    monkeypatch.setattr(file_scan, 'read_facts', spy)
    return paths


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the manifest logs."""
    messages: list[str] = []
    monkeypatch.setattr(manifest, 'warn', messages.append)
    return messages


def read_only(monkeypatch: pytest.MonkeyPatch, *folders: Path) -> None:
    """Let no file be made in folders; the tests may run as a user whom rights do not stop."""
    original = os.open

    def refuse(path: object, flags: int, *args: int, **kwargs: object) -> int:
        if flags & os.O_CREAT and any(str(path).startswith(str(folder)) for folder in folders):
            raise OSError(errno.EROFS, 'Read-only file system', str(path))
        return original(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, 'open', refuse)


def check(root: Path) -> None:
    check_dataset(build_dataset(source_config(root)))


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def cached(tmp_path: Path) -> list[Path]:
    return list((tmp_path / 'cache').rglob('manifest_*.json'))


@pytest.mark.parametrize(('mask', 'expected'), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_others_read_it_as_the_umask_says(root, umask, mask, expected) -> None:
    os.umask(mask)
    check(root)
    assert mode(root / MANIFEST_NAME) == expected
    write_atomically(
        root / 'checkpoint.pth', b'content'
    )  # and everything else that is written whole
    assert mode(root / 'checkpoint.pth') == expected
    assert [path.name for path in root.iterdir() if path.name.endswith('.tmp')] == []


@pytest.mark.parametrize(('before', 'after'), [(0o600, 0o644), (0o664, 0o664), (0o646, 0o646)])
def test_rights_that_were_added_stay_and_missing_ones_come(root, umask, before, after) -> None:
    (root / MANIFEST_NAME).write_text('')
    (root / MANIFEST_NAME).chmod(before)
    check(root)
    assert mode(root / MANIFEST_NAME) == after


def test_a_read_only_root_keeps_its_manifest_in_the_users_cache(
    root, tmp_path, monkeypatch, opened, warnings
) -> None:
    read_only(monkeypatch, root)
    check(root)
    assert len(cached(tmp_path)) == 1 and not (root / MANIFEST_NAME).exists()
    opened.clear()
    check(root)
    assert opened == [] and warnings == []


def test_the_manifest_of_a_read_only_root_is_read(root, tmp_path, monkeypatch, opened) -> None:
    check(root)  # by somebody who may write
    read_only(monkeypatch, root)
    opened.clear()
    check(root)
    assert opened == [] and cached(tmp_path) == []
    changed = root / 'leftImg8bit/train/ulm/ulm_000001_000019_leftImg8bit.png'
    os.utime(changed, ns=(1, 1))
    check(root)
    check(root)
    assert opened == [str(changed)] and len(cached(tmp_path)) == 1


def test_without_any_place_the_next_start_reads_again(
    root, tmp_path, monkeypatch, opened, warnings
) -> None:
    read_only(monkeypatch, tmp_path)
    check(root)
    count = len(opened)
    check(root)
    assert len(opened) == 2 * count and cached(tmp_path) == []
    assert len(warnings) == 2 and 'Cannot keep the manifest' in warnings[0]


def test_what_a_laxer_version_has_remembered_is_read_again(root, opened) -> None:
    """Before version 3 a JPEG that was cut off passed."""
    check(root)
    path = root / MANIFEST_NAME
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, 'version': 2}))
    opened.clear()
    check(root)
    assert len(opened) == len(content['files'])
