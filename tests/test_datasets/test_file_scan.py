"""Facts of many files: from the manifest or from disk; work in processes."""

import os
import signal

import cv2
import numpy as np
import pytest
from tiny_data import picture, write

from mmseg_ccdistill.datasets.file_scan import map_processes, scan_files
from mmseg_ccdistill.datasets.image_facts import ImageFacts, UnreadableFileError, read_stamp
from mmseg_ccdistill.datasets.manifest import Manifest

PICTURE = np.random.RandomState(0).randint(0, 256, (1500, 1500, 3)).astype(np.uint8)


def process_of(item: int) -> tuple[int, int]:
    return item, os.getpid()


def resize(item: int) -> tuple[int, int]:
    return cv2.resize(PICTURE, (750, 750), interpolation=cv2.INTER_CUBIC).shape[0], item


def die(item: int) -> int:
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fail(item: int) -> int:
    if item == 5:
        raise RuntimeError('item 5')
    return item


def test_results_keep_their_order_and_come_from_other_processes():
    results = list(map_processes(process_of, range(40), 'Working', workers=2, chunk=4))
    assert [item for item, _ in results] == list(range(40))
    assert os.getpid() not in {process for _, process in results}


@pytest.mark.parametrize(('count', 'workers'), [(40, 1), (4, 2), (0, 2)])
def test_one_worker_or_few_items_stay_here(count, workers):
    results = list(map_processes(process_of, range(count), 'Working', workers=workers, chunk=4))
    assert results == [(item, os.getpid()) for item in range(count)]


def test_workers_do_not_wait_for_the_threads_of_their_parent():
    """OpenCV's threads are not forked with the process: a worker that misses them must not hang."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(4)
    try:
        cv2.GaussianBlur(PICTURE, (31, 31), 0)
        resize(0)
        results = list(map_processes(resize, range(20), 'Working', workers=2, chunk=4))
        assert results == [(750, item) for item in range(20)]
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)


def test_a_worker_that_is_killed():
    sentence = '^Working: a worker process was killed, most often because memory ran out: use fewer workers.$'
    with pytest.raises(ValueError, match=sentence):
        list(map_processes(die, range(40), 'Working', workers=2, chunk=4))


def test_an_error_in_a_worker_comes_through():
    with pytest.raises(RuntimeError, match='item 5'):
        list(map_processes(fail, range(40), 'Working', workers=2, chunk=4))


def test_a_scan_gives_facts_or_the_error_and_remembers_the_facts_alone(tmp_path):
    image = str(write(tmp_path / 'image.png', picture(0)))
    label = str(write(tmp_path / 'label.png', np.eye(4, dtype=np.uint8)))
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'no picture')
    requests = [(path, read_stamp(path), path == label) for path in (image, label, str(broken))]
    found = scan_files(requests, Manifest(str(tmp_path)), 'Reading')
    assert found[image] == ImageFacts(80, 40, 'RGB')
    assert found[label] == ImageFacts(4, 4, 'L', (0, 1))
    assert isinstance(found[str(broken)], UnreadableFileError)
    assert str(found[str(broken)]) == 'no image header'
    manifest = Manifest(str(tmp_path))
    known = {path: manifest.get(path, stamp, with_values) for path, stamp, with_values in requests}
    assert known == {image: found[image], label: found[label], str(broken): None}
