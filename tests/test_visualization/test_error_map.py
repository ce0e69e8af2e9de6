import numpy as np
import pytest

from mmseg_ccdistill.visualization.error_map import error_map


def test_wrong_pixels_are_vermillion_right_ones_grey_and_ignored_ones_black() -> None:
    image = np.full((1, 4, 3), (10, 200, 30), np.uint8)
    label = np.array([[0, 1, 255, 2]], np.uint8)
    prediction = np.array([[0, 0, 0, 2]], np.uint8)

    painted = error_map(image, prediction, label, 19)

    # Okabe-Ito vermillion is RGB (213, 94, 0).
    assert painted[0, 1, ::-1].tolist() == [213, 94, 0]
    assert painted[0, 2].tolist() == [0, 0, 0]
    for x in (0, 3):
        assert len(set(painted[0, x].tolist())) == 1 and painted[0, x, 0] >= 128


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match='cannot be compared'):
        error_map(
            np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8), 2
        )
