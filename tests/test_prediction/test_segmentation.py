"""What follows from logits, and batches of pictures of several sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tool_project import photo

from mmseg_ccdistill.prediction.segmentation import (
    Segmentation,
    equal_sizes,
    mixed_precision,
    predict_maps,
    segment,
)


def test_maps_of_known_logits() -> None:
    logits = torch.tensor([[[0.0, math.log(3), 9.0]], [[0.0, 0.0, 9.0]], [[1000.0, 0.0, -9.0]]])
    image = np.full((1, 3, 3), 100, np.uint8)
    palette = [(10, 20, 30), (40, 50, 60), (200, 100, 0)]
    result = Segmentation(logits, image, ('a', 'b', 'c'), palette)
    np.testing.assert_array_equal(result.labels, [[2, 0, 0]])
    np.testing.assert_allclose(result.probabilities[:, 0, 1], [0.6, 0.2, 0.2], atol=1e-7)
    half = 1 / (2 + math.exp(-18))
    np.testing.assert_allclose(result.confidence, [[1, 0.6, half]], atol=1e-6)
    np.testing.assert_array_equal(
        np.asarray(result.color_map), [[(200, 100, 0), (10, 20, 30), (10, 20, 30)]]
    )
    np.testing.assert_array_equal(np.asarray(result.picture)[0, :2], [(150, 100, 50), (55, 60, 65)])
    np.testing.assert_array_equal(np.asarray(result.overlay(0)), image)
    assert result.shares == {'a': pytest.approx(2 / 3), 'c': pytest.approx(1 / 3)}
    assert list(result.shares) == ['a', 'c']


def test_pictures_of_one_size_share_a_batch(segmenter) -> None:
    take = segmenter.pipeline.take
    pictures = [take(photo(1)), take(photo(2)), take(photo(3)[:, :50].copy()), take(photo(4))]
    assert [len(group) for group in equal_sizes(pictures)] == [2, 1, 1]
    single = [segment(segmenter.trained, picture) for picture in pictures]
    assert len(np.unique(single[0].labels)) > 1  # else nothing is compared
    for confidence in (False, True):
        found = list(predict_maps(segmenter.trained, pictures, confidence, amp=False))
        assert [picture for picture, _ in found] == pictures
        for (_, maps), one in zip(found, single, strict=True):
            assert np.mean(maps.labels != one.labels) < 1e-3  # ties
            assert (maps.confidence is not None) == confidence
            if confidence:
                expected = np.round(one.confidence * 65535)
                assert np.abs(maps.confidence - expected).max() <= 1


def test_mixed_precision_agrees_with_float32(segmenter) -> None:
    picture = segmenter.pipeline.take(photo(1))
    exact, mixed = (segment(segmenter.trained, picture, amp) for amp in (False, True))
    assert not torch.equal(exact.logits.float(), mixed.logits.float())
    assert np.mean(exact.labels == mixed.labels) > 0.9
    with mixed_precision(torch.device('cpu'), True):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
