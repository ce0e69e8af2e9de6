"""Memory, cores and disk, as a container has them."""

from __future__ import annotations

import os

from ccdistill.machine import free_bytes, is_writable, memory_bytes, usable_cores


def test_the_limit_of_a_container_counts(tmp_path) -> None:
    whole = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    limit = tmp_path / 'memory.max'
    assert memory_bytes((str(limit),)) == whole
    limit.write_text('max\n')
    assert memory_bytes((str(limit),)) == whole
    limit.write_text('123456\n')
    assert memory_bytes((str(limit),)) == 123456
    limit.write_text(f'{whole * 1000}\n')
    assert memory_bytes((str(limit),)) == whole


def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path) -> None:
    later = str(tmp_path / 'a' / 'b')
    assert is_writable(later) and not os.path.exists(later)
    assert abs((free_bytes(later) or 0) - (free_bytes(str(tmp_path)) or 0)) < 10**9


def test_a_file_is_no_folder(tmp_path) -> None:
    (tmp_path / 'file').touch()
    assert not is_writable(str(tmp_path / 'file' / 'inside'))


def test_cores_are_those_of_this_process() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
