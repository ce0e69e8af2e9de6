from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.composed_resize import (
    composed_matrix,
    interpolation_matrix,
    label_map,
)


def smooth_logits(classes: int, height: int, width: int) -> Tensor:
    """Logits with regions of several cells, as a network gives them."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, classes, height // 4, width // 4, generator=generator)
    return F.interpolate(coarse, (height, width), mode='bicubic')[0]


def two_steps(
    logits: Tensor,
    between: tuple[int, int],
    size: tuple[int, int],
    align_corners: bool,
    padding: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Tensor:
    """What MMSegmentation does (predict_by_feat, postprocess_result), written down anew."""
    left, right, top, bottom = padding
    options = dict(mode='bilinear', align_corners=align_corners)
    out = F.interpolate(logits[None], between, **options)
    out = out[..., top : between[0] - bottom, left : between[1] - right]
    return F.interpolate(out, size, **options)[0]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('sizes', [(5, 20), (20, 5), (7, 7), (1, 4), (6, 17)])
def test_a_matrix_interpolates_as_torch_does(sizes: tuple[int, int], align_corners: bool) -> None:
    line = torch.randn(sizes[0], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = interpolation_matrix(*sizes, align_corners)
    expected = F.interpolate(line[None, None], sizes[1], mode='linear', align_corners=align_corners)
    torch.testing.assert_close(matrix @ line, expected[0, 0], atol=1e-12, rtol=0)
    torch.testing.assert_close(matrix.sum(1), torch.ones(sizes[1], dtype=torch.float64))


def test_both_steps_in_one_matrix_by_hand() -> None:
    """2 -> 3 -> 5 samples with aligned corners: 0, 1/2, 1, then quarters."""
    expected = torch.tensor([[1, 0], [0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0, 1]])
    assert torch.equal(composed_matrix(2, 3, 5, True, (0, 0)), expected)
    cut = composed_matrix(2, 3, 3, True, (1, 0))  # the first of the three is padding
    assert torch.equal(cut, torch.tensor([[0.5, 0.5], [0.25, 0.75], [0, 1]]))


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize(
    'between, size, padding',
    [
        ((96, 160), (192, 320), (0, 0, 0, 0)),
        ((96, 160), (131, 247), (0, 0, 0, 0)),
        ((96, 160), (50, 61), (0, 0, 0, 0)),
        ((96, 160), (170, 300), (3, 5, 2, 7)),
    ],
)
def test_labels_are_those_of_the_two_steps(
    between: tuple[int, int],
    size: tuple[int, int],
    padding: tuple[int, int, int, int],
    align_corners: bool,
) -> None:
    logits = smooth_logits(19, 24, 40)
    expected = two_steps(logits, between, size, align_corners, padding).argmax(0)
    found = label_map(logits, between, size, align_corners, padding)
    assert found.shape == size and found.dtype == torch.int64
    assert (found == expected).float().mean() >= 0.9999
    assert len(expected.unique()) > 5
    exact = label_map(logits.double(), between, size, align_corners, padding)
    top = two_steps(logits.double(), between, size, align_corners, padding).topk(2, dim=0)
    clear = top.values[0] - top.values[1] > 1e-5
    assert torch.equal(exact[clear], top.indices[0][clear])


def test_one_resize_would_be_another_function() -> None:
    logits = smooth_logits(19, 24, 40)
    direct = F.interpolate(logits[None], (192, 320), mode='bilinear', align_corners=True)[0]
    expected = two_steps(logits, (97, 159), (192, 320), True).argmax(0)
    assert (direct.argmax(0) == expected).float().mean() < 0.999


def test_the_height_of_a_strip_changes_nothing() -> None:
    logits = smooth_logits(5, 24, 40)
    whole = label_map(logits, (96, 160), (135, 240), True, strip_rows=1000)
    for rows in (1, 7, 20):
        assert torch.equal(label_map(logits, (96, 160), (135, 240), True, strip_rows=rows), whole)


def test_half_precision_is_resized_in_full() -> None:
    logits = smooth_logits(19, 24, 40).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        found = label_map(logits, (96, 160), (192, 320), True)
    assert torch.equal(found, label_map(logits.float(), (96, 160), (192, 320), True))
