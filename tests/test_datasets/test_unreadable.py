"""Unreadable files of a sample: found, replaced, noted and named; whole runs are in tests/reliability."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.structures import SegDataSample
from tiny_data import picture, write

from mmseg_ccdistill.datasets import BadSampleError, Draw
from mmseg_ccdistill.datasets.unreadable import (
    MAX_IN_ROW,
    REPLACED_KEY,
    NamingPipeline,
    fetch_readable,
    note_replaced,
    replacement_sequence,
    unreadable_file,
)


class Files:
    """Samples of one image each; loading fails where the image is broken."""

    def __init__(self, folder: Path, broken: set[int], count: int = 20) -> None:
        self.paths = [str(folder / f'{k}.png') for k in range(count)]
        for k, path in enumerate(self.paths):
            write(Path(path), picture(k))
            if k in broken:
                Path(path).write_bytes(b'')

    def __len__(self) -> int:
        return len(self.paths)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(img_path=self.paths[index])

    def __getitem__(self, index: int) -> int:
        np.random.rand()
        if not Path(self.paths[index]).read_bytes():
            raise OSError('empty')
        return index


def test_the_first_unreadable_file_of_a_sample_is_named(tmp_path: Path) -> None:
    image = str(write(tmp_path / 'a.png', picture(0)))
    gone = str(tmp_path / 'gone.png')
    assert unreadable_file(dict(img_path=image, seg_map_path=None)) is None
    assert unreadable_file(dict(img_path='s3://bucket/a.png')) is None
    for key in ('seg_map_path', 'day_img_path'):
        assert unreadable_file({'img_path': image, key: gone}) == (gone, 'there is no such file')


def test_broken_samples_are_passed_over_in_the_order_of_the_sequence(tmp_path: Path) -> None:
    files = Files(tmp_path, broken=set(range(0, 20, 2)))
    found = {
        number: fetch_readable(files, 4, np.random.SeedSequence(number)) for number in range(9)
    }
    assert len({sample for sample, _ in found.values()}) > 3
    for sample, replaced in found.values():
        assert sample % 2 == 1 and replaced[0] == files.paths[4]
        assert len(set(replaced)) == len(replaced)
    assert found[3] == fetch_readable(files, 4, np.random.SeedSequence(3))
    assert fetch_readable(files, 5, np.random.SeedSequence(3)) == (5, [])


def test_too_many_in_a_row_end_in_a_sentence(tmp_path: Path) -> None:
    files = Files(tmp_path, broken=set(range(20)))
    with pytest.raises(BadSampleError, match=rf'^{MAX_IN_ROW} samples of Files in a row cannot be'):
        fetch_readable(files, 0, np.random.SeedSequence(0))


def test_replacements_depend_on_seed_number_and_part() -> None:
    states = {
        tuple(replacement_sequence(index, part).generate_state(2))
        for index in (Draw(3, 0, 0), Draw(3, 1, 0), Draw(3, 0, 1), 3, 4)
        for part in (0, 1)
    }
    assert len(states) == 10
    first, second = (replacement_sequence(Draw(k, 7, 1), 0).generate_state(2) for k in (3, 4))
    np.testing.assert_array_equal(first, second)  # the image that the draw shows does not count


@pytest.mark.parametrize('by_domain', [False, True])
def test_replaced_files_are_noted_once(by_domain: bool) -> None:
    samples = [SegDataSample(), SegDataSample()]
    packed = (
        dict(zip(('source_day', 'target_day'), samples, strict=True)) if by_domain else samples[0]
    )
    note_replaced(dict(data_samples=packed), ['a.png', 'b.png'])
    assert samples[0].metainfo == {REPLACED_KEY: ('a.png', 'b.png')}
    assert samples[1].metainfo == {}
    note_replaced(dict(img=0), ['a.png'])  # not packed: there is no place for it


def test_a_pipeline_names_the_file_or_keeps_its_error(tmp_path: Path) -> None:
    def fail(results: dict) -> dict:
        raise KeyError('a bug')

    image = str(write(tmp_path / 'a.png', picture(0)))
    with pytest.raises(KeyError, match='a bug'):
        NamingPipeline([fail])(dict(img_path=image))
    Path(image).write_bytes(b'')
    with pytest.raises(BadSampleError) as info:
        NamingPipeline([fail])(dict(img_path=image))
    assert str(info.value) == (
        f'The file {image!r} cannot be read (no image header): expected a whole PNG or JPEG image; copy or download '
        'it again.'
    )
