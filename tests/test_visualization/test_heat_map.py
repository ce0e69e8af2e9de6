import cv2
import numpy as np
import pytest

from mmseg_ccdistill.visualization.heat_map import color_bar, heat_map

# Ends and middle of cividis (Nunez, Anderton, Renslow, 2018), RGB, as matplotlib lists the map.
CIVIDIS = {0.0: (0, 34, 78), 0.5: (124, 123, 120), 1.0: (254, 232, 56)}


@pytest.mark.parametrize('share', sorted(CIVIDIS))
def test_colours_are_those_of_cividis(share) -> None:
    image = heat_map(np.full((2, 3), -1 + 2 * share), -1, 1)
    assert image.shape == (2, 3, 3) and image.dtype == np.uint8
    np.testing.assert_allclose(image[0, 0, ::-1], CIVIDIS[share], atol=4)


def test_identical_domains_have_one_colour() -> None:
    assert len(np.unique(heat_map(np.ones((16, 16)), -1, 1).reshape(-1, 3), axis=0)) == 1


def test_lightness_rises_all_along_the_scale() -> None:
    ramp = heat_map(np.linspace(-1, 1, 256)[None], -1, 1).astype(np.float32) / 255
    lightness = cv2.cvtColor(ramp, cv2.COLOR_BGR2LAB)[0, :, 0]
    steps = np.diff(lightness.astype(np.float64))
    assert (steps > -0.05).all() and lightness[-1] - lightness[0] > 70
    # Equal steps of the value are equal steps of lightness, to a quarter of the range.
    np.testing.assert_allclose(lightness, np.linspace(lightness[0], lightness[-1], 256), atol=4)


def test_values_outside_the_scale_take_its_end_and_nan_is_grey() -> None:
    image = heat_map(np.array([[-5.0, -1.0, 1.0, 9.0, np.nan]]), -1, 1)
    np.testing.assert_array_equal(image[0, 0], image[0, 1])
    np.testing.assert_array_equal(image[0, 2], image[0, 3])
    assert len(set(image[0, 4].tolist())) == 1


def test_what_is_no_map_is_refused() -> None:
    with pytest.raises(ValueError, match='expected a map'):
        heat_map(np.zeros((2, 2, 3)), 0, 1)
    with pytest.raises(ValueError, match='from low to high'):
        heat_map(np.zeros((2, 2)), 1, 1)


def test_bar_runs_from_low_to_high_with_a_number_at_each_tick() -> None:
    bar = color_bar(-1, 1, (-1, 0, 1), 400, font_size=14)
    assert bar.shape[1] == 400
    row = bar[7 + 3]  # inside the bar, which spans the middle half
    np.testing.assert_array_equal(row[100], heat_map(np.array([[-1.0]]), -1, 1)[0, 0])
    np.testing.assert_array_equal(row[299], heat_map(np.array([[1.0]]), -1, 1)[0, 0])
    assert (row[:100] == 255).all() and (row[300:] == 255).all()
    ink = bar[7 + 14 + 4 :].min(axis=2) < 128
    for x in (100, 200, 299):
        assert ink[:, x - 12 : x + 12].any()
    assert not ink[:, 130:170].any()
