import numpy as np
import pytest

from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.visualization.correlation_figure import DrawCorrelations, correlation_figure
from mmseg_ccdistill.visualization.heat_map import heat_map

#: Constant colours of the four images (BGR), and the value that each map has everywhere.
COLOURS = dict(
    zip(DOMAINS, [(10, 20, 200), (30, 200, 40), (200, 50, 60), (70, 80, 90)], strict=True)
)
VALUES = {'illu_source': 1.0, 'illu_target': 0.5, 'in_day': 0.0, 'in_night': -1.0}
PLACES = {  # row and column in the square
    'source_day': (0, 0), 'illu_source': (0, 1), 'source_night': (0, 2),
    'in_day': (1, 0), 'in_night': (1, 2),
    'target_day': (2, 0), 'illu_target': (2, 1), 'target_night': (2, 2),
}  # fmt: skip


def _draw(number: int = 0) -> DrawCorrelations:
    return DrawCorrelations(
        number,
        {domain: np.full((32, 64, 3), colour, np.uint8) for domain, colour in COLOURS.items()},
        {name: np.full((2, 4), value, np.float32) for name, value in VALUES.items()},
        {'Cor_G_S': 0.9, 'Cor_G_T': 0.8},
    )


def _tile(figure: np.ndarray, row: int, column: int) -> np.ndarray:
    """The middle of a tile of 240 x 120 below a header of 26 and captions of 18 pixels."""
    top, left = 26 + row * (120 + 18 + 6), 26 + 6 + column * (240 + 6)
    return figure[top + 10 : top + 110, left + 10 : left + 230]


def test_each_map_stands_between_the_images_that_it_compares() -> None:
    figure = correlation_figure([_draw()], tile_width=240)

    for name, (row, column) in PLACES.items():
        colours = np.unique(_tile(figure, row, column).reshape(-1, 3), axis=0)
        expected = (
            COLOURS[name]
            if name in COLOURS
            else tuple(heat_map(np.array([[VALUES[name]]]), -1, 1)[0, 0].tolist())
        )
        assert [tuple(c) for c in colours.tolist()] == [expected], name
    middle = _tile(figure, 1, 1)
    assert (middle[:20] == 255).all() and middle.min() < 128  # two lines of text on white


def test_all_draws_share_one_scale_and_one_bar() -> None:
    one, two = correlation_figure([_draw()], 240), correlation_figure([_draw(), _draw(7)], 240)
    assert two.shape[0] - one.shape[0] == 3 * (120 + 18 + 6)
    np.testing.assert_array_equal(_tile(two, 3, 1), _tile(two, 0, 1))
    bar = two.shape[0] - 20
    np.testing.assert_array_equal(one[-20:], two[bar:])


def test_patches_stay_squares_of_one_colour() -> None:
    draw = _draw()
    values = np.linspace(-1, 1, 8).reshape(2, 4)
    maps = {**draw.maps, 'illu_source': values}
    figure = correlation_figure([DrawCorrelations(0, draw.images, maps, {})], 240)
    tile = _tile(figure, 0, 1)
    assert len(np.unique(tile.reshape(-1, 3), axis=0)) == 8


def test_no_draw_is_refused() -> None:
    with pytest.raises(ValueError, match='at least one draw'):
        correlation_figure([])
