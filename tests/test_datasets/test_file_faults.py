"""Sentences about faulty files; test_file_check.py meets them through whole datasets."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mmseg_ccdistill.datasets.file_faults import (
    Sample,
    missing_fault,
    size_fault,
    values_fault,
)
from mmseg_ccdistill.datasets.image_facts import FileStamp, ImageFacts

SAMPLE = Sample('n.png', 'l.png', 'd.png')
HERE = FileStamp(0, 1)
PAIRS = SimpleNamespace(ann_file='pairs.csv')
FOLDER = SimpleNamespace(ann_file='')


@pytest.mark.parametrize(
    ('missing', 'dataset', 'sentence'),
    [
        ('', PAIRS, None),
        (
            'n.png',
            PAIRS,
            "The image 'n.png' does not exist: expected every image of the list 'pairs.csv'; restore it, correct "
            'img_suffix, or take its line out of the list.',
        ),
        (
            'd.png',
            FOLDER,
            "The day image 'd.png' of the night image 'n.png' does not exist: expected both images of every pair of "
            'the image folder; restore it or take the pair out.',
        ),
        (
            'l.png',
            FOLDER,
            "The label 'l.png' of the image 'n.png' does not exist: expected one label for every image; restore it, "
            'correct seg_map_suffix, or drop data_prefix.seg_map_path if unlabelled.',
        ),
    ],
)
def test_a_missing_file(missing: str, dataset: SimpleNamespace, sentence: str | None) -> None:
    stamps = {path: None if path == missing else HERE for path in SAMPLE}
    assert missing_fault(SAMPLE, stamps, dataset) == sentence


@pytest.mark.parametrize(
    ('other', 'sentence'),
    [
        (
            'l.png',
            "The label 'l.png' has 4x2 pixels, but its image 'n.png' has 8x2: expected equal sizes; replace one of the "
            'two or correct seg_map_suffix.',
        ),
        (
            'd.png',
            "The day image 'd.png' has 4x2 pixels, but its image 'n.png' has 8x2: expected equal sizes; resize one of "
            'the two or take the pair out of the list.',
        ),
    ],
)
def test_a_file_of_another_size(other: str, sentence: str) -> None:
    facts = {path: ImageFacts(4 if path == other else 8, 2, 'L') for path in SAMPLE}
    assert size_fault(SAMPLE, facts, FOLDER) == sentence
    assert size_fault(SAMPLE, dict.fromkeys(SAMPLE, ImageFacts(8, 2, 'L')), FOLDER) is None


@pytest.mark.parametrize(
    ('facts', 'sentence'),
    [
        (ImageFacts(1, 1, 'L', (0, 2, 255)), None),
        (
            ImageFacts(1, 1, 'L', (0, 3)),
            "The label 'l.png' holds the values 3: expected class ids 0..2 and 255 (ignore) in one channel; convert it "
            'or correct seg_map_suffix.',
        ),
        (
            ImageFacts(1, 1, 'RGB'),
            "The label 'l.png' is a colour image (mode RGB): expected class ids 0..2 and 255 (ignore) in one channel; "
            'convert its colours to ids or correct seg_map_suffix.',
        ),
    ],
)
def test_label_values(facts: ImageFacts, sentence: str | None) -> None:
    dataset = SimpleNamespace(metainfo=dict(classes=('a', 'b', 'c')))
    assert values_fault('l.png', {'l.png': facts}, dataset) == sentence
