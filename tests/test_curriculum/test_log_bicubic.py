from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from curriculum_numbers import normal, softmax

from mmseg_ccdistill.curriculum.log_bicubic import bicubic_matrix, log_bicubic

ROOT = Path(__file__).resolve().parents[2]
SMALL = softmax(3 * normal(37, 5, 7, 20))


def test_numbers_of_the_public_code() -> None:
    large = log_bicubic(SMALL, (20, 28), num_classes=19)
    assert large.shape == (20, 28, 19)
    np.testing.assert_allclose(
        large[10, 14, :3], [5.34219877e-5, 8.58142370e-6, 0.159459019], rtol=5e-9
    )
    assert (large**2).sum() == pytest.approx(215.669744725, abs=1e-8)
    np.testing.assert_allclose(large.sum(-1), 1, atol=1e-14)


def test_it_is_the_antialiased_bicubic_of_torch_inside() -> None:
    logs = torch.from_numpy(np.maximum(np.log(SMALL), -20)).permute(2, 0, 1)[None]
    large = torch.nn.functional.interpolate(logs, (20, 28), mode='bicubic', antialias=True)
    expected = large[0].permute(1, 2, 0).softmax(-1).numpy()
    inside = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(log_bicubic(SMALL, (20, 28))[inside], expected[inside], atol=1e-14)


def test_a_certain_pixel_stays_finite() -> None:
    one_hot = np.eye(3)[np.array([[0, 1], [2, 0]])]
    large = log_bicubic(one_hot, (8, 8))
    assert np.isfinite(large).all()
    assert large[0, 0].argmax() == 0 and large[-1, 0].argmax() == 2


def test_the_same_size_changes_nothing() -> None:
    np.testing.assert_allclose(log_bicubic(SMALL, (5, 7)), SMALL, atol=1e-14)
    np.testing.assert_allclose(bicubic_matrix(4, 9).sum(1), 1, atol=1e-14)


def test_it_only_enlarges() -> None:
    with pytest.raises(ValueError, match='it only enlarges'):
        log_bicubic(SMALL, (4, 28))


def test_what_no_tool_uses_is_a_building_block_on_the_page() -> None:
    names = ('log_bicubic', 'joint_upsampling', 'class_balanced_epoch')
    files = [
        file for folder in ('mmseg_ccdistill', 'tools') for file in (ROOT / folder).rglob('*.py')
    ]
    users = [
        file
        for file in files
        if file.stem not in names and any(n in file.read_text() for n in names)
    ]
    assert users == []
    page = (ROOT / 'docs/mgcda.md').read_text()
    _, _, said = page.partition('building blocks that no tool here uses')
    assert all(f'`{name}.py`' in said.partition('\n\n')[0] for name in names)
    assert 'in the logarithm' in page.partition('## What differs from the released code')[2]
