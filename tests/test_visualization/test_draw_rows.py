import numpy as np
import pytest

from mmseg_ccdistill.visualization.draw_rows import DrawRow, draw_panel

CLASSES, PALETTE = ['road', 'sky', 'car'], [[128, 64, 128], [70, 130, 180], [0, 0, 142]]


def _row(number: int = 0, **extra: np.ndarray) -> DrawRow:
    photo = np.random.default_rng(number).integers(0, 256, (60, 120, 3), dtype=np.uint8)
    label = np.zeros((60, 120), np.uint8)
    label[:, 60:] = 255
    return DrawRow(number, {'S_d': photo, 'labels': label, **extra}, {'S_d': 'ulm_000001'})


def test_label_maps_are_painted_and_photographs_are_not() -> None:
    row = _row()
    figure = draw_panel([row], CLASSES, PALETTE, tile_width=120)
    # A margin of 2 x 12 for the row's title, a header as high, gaps of 6.
    np.testing.assert_array_equal(figure[24:84, 30:150], row.columns['S_d'])
    labels = figure[24:84, 156:276]
    assert labels[0, 0].tolist() == [128, 64, 128] and labels[0, 119].tolist() == [0, 0, 0]


def test_legend_shows_what_occurs_only() -> None:
    figure = draw_panel([_row()], CLASSES, PALETTE, tile_width=120)
    legend = figure[24 + 60 + 18 + 6 :]

    def has(colour: tuple[int, int, int]) -> bool:
        return bool((legend == colour).all(axis=2).sum() >= 100)

    assert has((128, 64, 128)) and has((0, 0, 0))  # road, and pixels without a label
    assert not has((180, 130, 70)) and not has((142, 0, 0))


def test_a_panel_without_label_maps_has_no_legend() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (60, 120, 3), dtype=np.uint8)
    figure = draw_panel([DrawRow(0, {'T_d': photo}, {})], CLASSES, PALETTE, tile_width=120)
    assert figure.shape[0] == 24 + 60 + 18 + 6


def test_rows_must_have_the_same_columns() -> None:
    with pytest.raises(ValueError, match=r"draw 1 has .*'M_n'.*: expected \['S_d', 'labels'\]"):
        draw_panel([_row(), _row(1, M_n=np.zeros((60, 120), np.uint8))], CLASSES, PALETTE)
    with pytest.raises(ValueError, match='at least one'):
        draw_panel([], CLASSES, PALETTE)
