import cv2
import numpy as np
import pytest

from mmseg_ccdistill.visualization.panel import (
    check_picture_path,
    class_legend,
    colorize,
    panel,
    present_classes,
    write_image,
)

# Three colours of the Cityscapes palette (road, sky, car), RGB, as the benchmark publishes them.
PALETTE = [[128, 64, 128], [70, 130, 180], [0, 0, 142]]
ROAD_BGR, SKY_BGR, CAR_BGR = (128, 64, 128), (180, 130, 70), (142, 0, 0)


def _photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_colorize_gives_bgr_and_black_for_ignored() -> None:
    label = np.array([[0, 1], [2, 255]], dtype=np.uint8)

    image = colorize(label, PALETTE)

    assert image.dtype == np.uint8 and image.shape == (2, 2, 3)
    assert image.tolist() == [[list(ROAD_BGR), list(SKY_BGR)], [list(CAR_BGR), [0, 0, 0]]]


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.int64])
def test_colorize_paints_ids_outside_the_palette_black(dtype: type) -> None:
    label = np.array([[3, 254]], dtype=dtype)
    assert not colorize(label, PALETTE).any()
    if dtype is not np.uint8:
        assert not colorize(np.array([[-1]], dtype=dtype), PALETTE).any()


@pytest.mark.parametrize(
    'label', [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.float32), np.zeros(4, np.uint8)]
)
def test_colorize_rejects_what_is_no_label_map(label: np.ndarray) -> None:
    with pytest.raises(ValueError, match='expected a label map'):
        colorize(label, PALETTE)


def test_panel_places_every_tile_unchanged() -> None:
    rows = [[_photo(60, 240, seed=3 * i + j) for j in range(3)] for i in range(2)]
    gap = 6

    image = panel(rows, ['a', 'b', 'c'], gap=gap)

    assert image.dtype == np.uint8
    assert image.shape[1] == 3 * 240 + 4 * gap
    header = image.shape[0] - 2 * (60 + gap)
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            top, left = header + i * (60 + gap), gap + j * (240 + gap)
            np.testing.assert_array_equal(image[top : top + 60, left : left + 240], tile)
    # Paper is white between tiles, and every column has ink in its title.
    assert (image[header:, :gap] == 255).all()
    for j in range(3):
        left = gap + j * (240 + gap)
        assert image[:header, left : left + 240].min() < 128


def test_panel_invents_no_colours_between_classes_but_smooths_photographs() -> None:
    label = np.arange(12, dtype=np.uint8).reshape(3, 4) % 3
    painted, photo = colorize(label, PALETTE), _photo(30, 40)

    image = panel([[painted, photo]], ['label', 'photo'], tile_size=(250, 170))

    top = image.shape[0] - 170 - 6
    tile = image[top : top + 170, 6 : 6 + 250].reshape(-1, 3)
    assert {tuple(c) for c in np.unique(tile, axis=0).tolist()} == {ROAD_BGR, SKY_BGR, CAR_BGR}
    smooth = image[top : top + 170, 12 + 250 : 12 + 500].reshape(-1, 3)
    assert len(np.unique(smooth, axis=0)) > len(np.unique(photo.reshape(-1, 3), axis=0))


def test_panel_enlarges_small_images_by_a_whole_factor() -> None:
    image = panel([[_photo(50, 100)]], ['a'])
    assert image.shape[1] == 300 + 12


def test_row_titles_take_a_margin_with_upright_ink_beside_their_row() -> None:
    rows = [[_photo(200, 240, seed=i)] for i in range(2)]

    image = panel(rows, ['a'], row_titles=['a long title', ''])

    margin = image.shape[1] - (240 + 12)
    assert margin > 0
    header = image.shape[0] - 2 * 206
    first = image[header : header + 200, :margin]
    second = image[header + 206 : header + 406, :margin]
    assert first.min() < 128 and (second == 255).all()
    ink = np.argwhere(first.min(axis=2) < 128)
    height, width = np.ptp(ink, axis=0)
    assert height > 3 * width  # written upwards


def test_legend_shows_every_class_once_and_fits_the_panel() -> None:
    names = ['road', 'sky', 'car']
    image = panel([[_photo(60, 240)]], ['a'], classes=names, palette=PALETTE)
    plain = panel([[_photo(60, 240)]], ['a'])

    legend = image[plain.shape[0] :]
    assert image.shape[1] == plain.shape[1]
    for colour in (ROAD_BGR, SKY_BGR, CAR_BGR):
        swatch = (legend == colour).all(axis=2)
        assert swatch.sum() == int(np.sqrt(swatch.sum())) ** 2 >= 100


@pytest.mark.parametrize('width', [120, 400, 1400])
def test_legend_wraps_to_the_width(width: int) -> None:
    names = [f'class {i}' for i in range(19)]
    colours = [[10 * i + 1, 5, 200] for i in range(19)]

    strip = class_legend(names, colours, width)

    assert strip.shape[1] == width
    for red, green, blue in colours:
        assert (strip == (blue, green, red)).all(axis=2).any()


def test_panel_rejects_what_does_not_fit() -> None:
    tile = _photo(10, 10)
    with pytest.raises(ValueError, match='row 1 .* 1 images for 2 columns'):
        panel([[tile, tile], [tile]], ['a', 'b'])
    with pytest.raises(ValueError, match='at least one row'):
        panel([], ['a'])
    with pytest.raises(ValueError, match='no uint8 image'):
        panel([[tile.astype(np.float32)]], ['a'])
    with pytest.raises(ValueError, match='2 row titles for 1 rows'):
        panel([[tile]], ['a'], row_titles=['x', 'y'])
    with pytest.raises(ValueError, match='both classes and palette'):
        panel([[tile]], ['a'], classes=['road'])
    with pytest.raises(ValueError, match='as many colours'):
        class_legend(['road'], PALETTE, 100)


def test_write_image_makes_folders_and_keeps_pixels(tmp_path) -> None:
    image = _photo(7, 9)
    path = tmp_path / 'new' / 'folder' / 'a.png'

    write_image(path, image)

    np.testing.assert_array_equal(cv2.imread(str(path)), image)


def test_write_image_fails_loudly(tmp_path) -> None:
    with pytest.raises(ValueError, match='no image format'):
        write_image(tmp_path / 'a.nonsense', _photo(4, 4))
    with pytest.raises(ValueError, match='no image format'):
        write_image(tmp_path / 'a', _photo(4, 4))
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError):
        write_image(tmp_path / 'file' / 'a.png', _photo(4, 4))


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch) -> None:
    path = tmp_path / 'a.png'
    write_image(path, _photo(4, 4))
    before = path.read_bytes()

    def full(step: str) -> None:
        if step == 'written':
            raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mmseg_ccdistill.runtime.atomic_file.fault_point', full)
    with pytest.raises(OSError, match='No space left'):
        write_image(path, _photo(9, 9))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_captions_stand_below_their_image_and_lose_their_beginning_if_too_long() -> None:
    rows = [[_photo(60, 240, seed=j) for j in range(2)]]
    plain = panel(rows, ['a', 'b'])

    image = panel(rows, ['a', 'b'], captions=[['', 'x' * 300 + ' end']])

    footer = image.shape[0] - plain.shape[0]
    header = plain.shape[0] - 66
    np.testing.assert_array_equal(image[: header + 60], plain[: header + 60])
    strip = image[header + 60 : header + 60 + footer].min(axis=2)
    assert (strip[:, :252] == 255).all() and (strip[:, 252:492] < 128).any()
    assert (strip[:, 492:] == 255).all()  # within its tile


def test_captions_must_match_the_images() -> None:
    with pytest.raises(ValueError, match='one for each image'):
        panel([[_photo(10, 10)]], ['a'], captions=[['x', 'y']])


def test_present_classes_are_those_of_the_maps_and_no_label_comes_last() -> None:
    maps = [np.array([[2, 0]], np.uint8), np.array([[2, 255]], np.uint8)]
    names, colours = present_classes(maps, ['road', 'sky', 'car'], PALETTE)
    assert names == ['road', 'car', 'no label']
    assert [list(colour) for colour in colours] == [PALETTE[0], PALETTE[2], [0, 0, 0]]


def test_a_picture_path_is_checked_before_the_work(tmp_path) -> None:
    check_picture_path(tmp_path / 'new/a.png')
    (tmp_path / 'a.jpg').touch()
    with pytest.raises(ValueError, match="a.jpg' exists: choose another name or pass --force"):
        check_picture_path(tmp_path / 'a.jpg')
    check_picture_path(tmp_path / 'a.jpg', force=True)
    for name in ('a.nonsense', 'a', 'png'):
        with pytest.raises(ValueError, match='no image format'):
            check_picture_path(tmp_path / name)
    with pytest.raises(ValueError, match=r"into '.*a\.jpg' \(Not a directory\)"):
        check_picture_path(tmp_path / 'a.jpg/a.png')
    (tmp_path / 'folder.png').mkdir()
    for force in (False, True):
        with pytest.raises(ValueError, match=r"folder\.png' is a folder"):
            check_picture_path(tmp_path / 'folder.png', force)
