import math

import numpy as np
import pytest

from mmseg_ccdistill.visualization.scene_comparison import Scene, comparison_figure, mean_iou

CLASSES, PALETTE = ['road', 'sky', 'car'], [[128, 64, 128], [70, 130, 180], [0, 0, 142]]
ROAD, SKY = [128, 64, 128], [180, 130, 70]


def _scene(label: np.ndarray | None) -> Scene:
    photo = np.random.default_rng(0).integers(0, 256, (60, 240, 3), dtype=np.uint8)
    return Scene('night/GOPR0356_frame_000321.png', photo, label)


def _halves(left: int, right: int) -> np.ndarray:
    label = np.full((60, 240), left, np.uint8)
    label[:, 120:] = right
    return label


def test_mean_iou_is_over_the_classes_of_the_image() -> None:
    # Half road, half sky; everything called road: IoU 1/2 and 0. A car that is not there does not
    # add a class, but costs the road its pixels.
    assert mean_iou(_halves(0, 0), _halves(0, 1), 3) == pytest.approx(25.0)
    assert mean_iou(_halves(2, 1), _halves(0, 1), 3) == pytest.approx(50.0)
    assert mean_iou(_halves(0, 2), _halves(0, 255), 3) == pytest.approx(100.0)
    assert math.isnan(mean_iou(_halves(0, 0), _halves(255, 255), 3))


def test_columns_are_image_truth_and_each_model_with_its_errors() -> None:
    scene, right, wrong = _scene(_halves(0, 1)), _halves(0, 1), _halves(0, 0)

    figure = comparison_figure(
        [scene], [('a', [right]), ('b', [wrong])], CLASSES, PALETTE, True, True, tile_width=240
    )

    tiles = [figure[26:86, 6 + j * 246 : 246 + j * 246] for j in range(6)]
    np.testing.assert_array_equal(tiles[0], scene.image)
    assert tiles[1][0, 0].tolist() == ROAD and tiles[1][0, 239].tolist() == SKY
    np.testing.assert_array_equal(tiles[2], tiles[1])
    assert tiles[4][0, 239].tolist() == ROAD
    vermillion = [(tile == (0, 94, 213)).all(axis=2) for tile in tiles]
    assert not vermillion[3].any()
    assert vermillion[5][:, 120:].all() and not vermillion[5][:, :120].any()
    captions = figure[86:102]
    for j in (0, 2, 3, 4, 5):  # name, mIoU, share, mIoU, share
        assert captions[:, 6 + j * 246 : 246 + j * 246].min() < 128
    assert (captions[:, 252:492] == 255).all()


def test_without_ground_truth_there_is_no_column_for_it() -> None:
    figure = comparison_figure([_scene(None)], [('a', [_halves(0, 1)])], CLASSES, PALETTE)
    assert figure.shape[1] == 6 + 2 * (320 + 6)


def test_what_does_not_fit_is_refused() -> None:
    scene = _scene(None)
    with pytest.raises(ValueError, match='at least one scene and one model'):
        comparison_figure([scene], [], CLASSES, PALETTE)
    with pytest.raises(ValueError, match="'a' has 2 predictions for 1 scenes"):
        comparison_figure([scene], [('a', [_halves(0, 0)] * 2)], CLASSES, PALETTE)
    with pytest.raises(ValueError, match='ground truth of every scene'):
        comparison_figure([scene], [('a', [_halves(0, 0)])], CLASSES, PALETTE, with_miou=True)
