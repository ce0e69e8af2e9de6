from __future__ import annotations

import pytest
import torch

from mmseg_ccdistill.datasets.file_check import DatasetCheckError
from mmseg_ccdistill.evaluation.confusion import confusion_matrix

LABEL = torch.tensor([[0, 1, 2], [255, 1, 0]], dtype=torch.uint8)


@pytest.mark.parametrize('dtype', [torch.uint8, torch.int16, torch.int64])
def test_rows_are_true_classes_and_ignored_pixels_do_not_count(dtype: torch.dtype) -> None:
    prediction = torch.tensor([[0, 2, 2], [1, 1, 1]], dtype=dtype)
    matrix = confusion_matrix(prediction, LABEL.to(dtype), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]] and matrix.dtype == torch.int64


def test_a_class_may_be_the_one_to_ignore() -> None:
    prediction = torch.tensor([[0, 2, 2], [1, 1, 1]])
    label = torch.tensor([[0, 1, 2], [0, 1, 0]])
    assert confusion_matrix(prediction, label, 3, ignore_index=0).tolist() == [
        [0, 0, 0],
        [0, 1, 1],
        [0, 0, 1],
    ]


def test_an_image_without_pixels_counts_nothing() -> None:
    empty = torch.zeros(0, 4, dtype=torch.uint8)
    assert confusion_matrix(empty, empty, 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ('prediction', 'label', 'error', 'sentence'),
    [
        (
            torch.zeros(2, 3, dtype=torch.uint8),
            torch.tensor([[0, 1, 7], [255, 33, 0]], dtype=torch.uint8),
            DatasetCheckError,
            "The label 'a.png' holds the values 7, 33: expected class ids 0..2 and 255 (ignore) in one channel; "
            'convert it or correct seg_map_suffix.',
        ),
        (
            torch.zeros(2, 3, dtype=torch.uint8),
            torch.full((2, 3), -1),
            DatasetCheckError,
            "The label 'a.png' holds the ids -1 to -1: expected 0 to 255; the number of classes of the model, the data "
            'set and the metric must agree.',
        ),
        (
            torch.full((2, 3), 3),
            LABEL,
            ValueError,
            "The prediction for 'a.png' holds the ids 3 to 3: expected 0 to 2; the number of classes of the model, the "
            'data set and the metric must agree.',
        ),
        (
            torch.zeros(3, 2, dtype=torch.uint8),
            LABEL,
            DatasetCheckError,
            "The label 'a.png' has the shape (2, 3), its prediction (3, 2): expected one size; load labels after "
            'Resize.',
        ),
    ],
    ids=['ids', 'negative', 'prediction', 'shape'],
)
def test_what_cannot_be_counted_is_refused(
    prediction: torch.Tensor, label: torch.Tensor, error: type[ValueError], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        confusion_matrix(prediction, label, 3, name='a.png')
    assert str(caught.value) == sentence
