"""Figure panels: rows of scenes, columns of inputs, labels and predictions, and a class legend.

All images are BGR uint8 arrays ``(H, W, 3)``, as OpenCV reads and writes them.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import UserInputError
from ..runtime.atomic_file import write_atomically
from ..runtime.output_place import check_output_file

# Ink on paper, BGR.
_PAPER = (255, 255, 255)
_INK = (40, 40, 40)
# Black: the Cityscapes palette has no black class, and its building is a dark grey.
_IGNORED = (0, 0, 0)


def colorize(label: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Paint a label map.

    Args:
        label: ``(H, W)`` class indices; whatever has no colour in the palette (255: ignored)
            becomes black.
        palette: RGB colour of each class, as in a dataset's ``metainfo['palette']``.

    Returns:
        ``(H, W, 3)`` BGR uint8.

    Raises:
        ValueError: If ``label`` is not a two-dimensional array of integers.
    """
    if label.ndim != 2 or not np.issubdtype(label.dtype, np.integer):
        raise UserInputError(
            f'expected a label map (H, W) of integers, got {label.dtype} of shape {label.shape}'
        )
    colours = np.array(palette, dtype=np.uint8)[:, ::-1]
    table = np.concatenate([colours, np.array([_IGNORED], dtype=np.uint8)])
    known = (label >= 0) & (label < len(colours))
    return table[np.where(known, label, len(colours))]


def panel(
    rows: Sequence[Sequence[np.ndarray]],
    column_titles: Sequence[str],
    row_titles: Sequence[str] | None = None,
    tile_size: tuple[int, int] | None = None,
    classes: Sequence[str] | None = None,
    palette: Sequence[Sequence[int]] | None = None,
    gap: int = 6,
    captions: Sequence[Sequence[str]] | None = None,
) -> np.ndarray:
    """Set images out in a grid with titles and, on request, a legend of the classes.

    Photographs are resized smoothly. Painted labels, told by having at most 256 colours, take the
    nearest pixel instead, so that no colours are invented between two classes.

    Args:
        rows: Images of each row, one for each column; grey ``(H, W)`` or BGR ``(H, W, 3)``, uint8.
        column_titles: Title above each column; what is too long loses its beginning.
        row_titles: Title left of each row, written upwards.
        tile_size: Width and height of each image in the panel, in pixels. None takes the size of
            the first image, enlarged by a whole factor to a width of at least 240.
        classes: Class names of the legend below the grid. None draws no legend.
        palette: RGB colour of each class of the legend.
        gap: Space between tiles, in pixels.
        captions: Small text below each image, one for each image of each row; what is too long for
            the tile loses its beginning. None leaves no room for any.

    Returns:
        The panel, ``(H, W, 3)`` BGR uint8.

    Raises:
        ValueError: If rows, titles or legend do not fit each other.
    """
    _check_grid(rows, column_titles, row_titles, classes, palette, captions)
    width, height = _default_tile(rows[0][0]) if tile_size is None else tile_size
    font_size = max(12, round(width / 18))
    small = max(12, round(0.8 * font_size))  # below 12 the space between words all but closes
    footer = 0 if captions is None else round(1.5 * small)
    step = height + footer + gap
    header, margin = 2 * font_size, 2 * font_size if row_titles is not None else 0
    total_width = margin + len(column_titles) * (width + gap) + gap
    legend = None
    if classes is not None and palette is not None:
        legend = class_legend(classes, palette, total_width - margin, small)
    grid_height = header + len(rows) * step
    total_height = grid_height + (0 if legend is None else len(legend))

    canvas = np.full((total_height, total_width, 3), _PAPER, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            top, left = header + i * step, margin + gap + j * (width + gap)
            canvas[top : top + height, left : left + width] = _fit(image, width, height)
    if legend is not None:
        canvas[grid_height:, margin:] = legend

    centres = [margin + gap + j * (width + gap) + width // 2 for j in range(len(column_titles))]
    heads = [
        (_fit_text(title, width, font_size), (centre, header // 2))
        for title, centre in zip(column_titles, centres, strict=True)
    ]
    canvas = write_text(canvas, heads, font_size, 'mm')
    if captions is not None:
        notes = [
            (_fit_text(text, width, small), (centre, header + i * step + height + footer // 2))
            for i, texts in enumerate(captions)
            for text, centre in zip(texts, centres, strict=True)
        ]
        canvas = write_text(canvas, notes, small, 'mm')
    if row_titles is not None:
        # Written on a sheet that is turned by a right angle, so that the text runs upwards.
        sheet = np.ascontiguousarray(np.rot90(canvas[:, :margin], k=-1))
        middles = [header + i * step + height // 2 for i in range(len(rows))]
        sides = [
            (title, (total_height - middle, margin // 2))
            for title, middle in zip(row_titles, middles, strict=True)
        ]
        canvas[:, :margin] = np.rot90(write_text(sheet, sides, font_size, 'mm'))
    return canvas


def class_legend(
    classes: Sequence[str], palette: Sequence[Sequence[int]], width: int, font_size: int = 14
) -> np.ndarray:
    """Draw a strip with a swatch and a name for each class, in as many lines as it takes.

    Args:
        classes: Class names.
        palette: RGB colour of each class.
        width: Width of the strip in pixels.
        font_size: Size of the names in pixels.

    Returns:
        The strip, ``(H, width, 3)`` BGR uint8.

    Raises:
        ValueError: If there are not as many colours as names.
    """
    if len(classes) != len(palette):
        raise UserInputError(
            f'a legend of {len(classes)} classes needs as many colours, got {len(palette)}'
        )
    font = ImageFont.load_default(font_size)
    swatch, pad, line = font_size, font_size // 2, round(1.7 * font_size)
    widest = max(int(np.ceil(font.getlength(name))) for name in classes)
    column = swatch + pad + widest + 2 * pad
    per_line = max(1, (width - pad) // column)
    per_line = -(-len(classes) // -(-len(classes) // per_line))  # lines of nearly equal length
    column = max(column, (width - pad) // per_line)
    lines = -(-len(classes) // per_line)

    strip = np.full((lines * line + 2 * pad, width, 3), _PAPER, dtype=np.uint8)
    names = []
    for index, (name, colour) in enumerate(zip(classes, palette, strict=True)):
        left = pad + index % per_line * column
        middle = pad + index // per_line * line + line // 2
        top = middle - swatch // 2
        strip[top : top + swatch, left : left + swatch] = tuple(colour)[::-1]
        names.append((name, (left + swatch + pad, middle)))
    return write_text(strip, names, font_size, 'lm')


def present_classes(
    maps: Sequence[np.ndarray], classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> tuple[list[str], list[Sequence[int]]]:
    """Names and colours that label maps show, for a legend.

    Args:
        maps: Label maps ``(H, W)``.
        classes: Names of all classes.
        palette: RGB colour of each class.

    Returns:
        Names and colours in the order of the classes, and at the end ``'no label'`` if there are
        pixels of no class.
    """
    shown = {int(value) for label in maps for value in np.unique(label)}
    indices = [k for k in range(len(classes)) if k in shown]
    names = [classes[k] for k in indices]
    colours: list[Sequence[int]] = [palette[k] for k in indices]
    if shown - set(indices):
        names.append('no label')
        colours.append(_IGNORED)
    return names, colours


def check_picture_path(path: str | os.PathLike[str], force: bool = False) -> None:
    """Check that a picture can get a name, before the work that it takes.

    Raises:
        ValueError: If the suffix names no image format, the file exists, or it cannot be written.
    """
    target = Path(path)
    if not target.suffix or not cv2.haveImageWriter(target.name):
        raise UserInputError(_no_format(target))
    check_output_file(target)
    if target.exists() and not force:
        raise UserInputError(f'{str(target)!r} exists: choose another name or pass --force')


def _no_format(target: Path) -> str:
    return f'cannot write {str(target)!r}: {target.suffix!r} is no image format, use .png or .jpg'


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write an image, whole or not at all; make its folder if need be.

    Args:
        path: File to write; its suffix names the format.
        image: ``(H, W)`` grey or ``(H, W, 3)`` BGR, uint8.

    Raises:
        ValueError: If the suffix names no image format.
        OSError: If the file cannot be written.
    """
    target = Path(path)
    try:
        written, encoded = cv2.imencode(target.suffix, image)
    except cv2.error:
        written = False
    if not written:
        raise UserInputError(_no_format(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, encoded.tobytes())


def _check_grid(
    rows: Sequence[Sequence[np.ndarray]],
    column_titles: Sequence[str],
    row_titles: Sequence[str] | None,
    classes: Sequence[str] | None,
    palette: Sequence[Sequence[int]] | None,
    captions: Sequence[Sequence[str]] | None,
) -> None:
    """Raise a ValueError unless every row has one image for each column, and titles match."""
    if not rows or not column_titles:
        raise ValueError('a panel needs at least one row and one column')
    for index, row in enumerate(rows):
        if len(row) != len(column_titles):
            raise ValueError(
                f'row {index} of the panel has {len(row)} images for {len(column_titles)} columns'
            )
        for image in row:
            if image is None or image.dtype != np.uint8 or image.ndim not in (2, 3):
                raise ValueError(f'row {index} of the panel holds something that is no uint8 image')
    if row_titles is not None and len(row_titles) != len(rows):
        raise ValueError(f'the panel has {len(row_titles)} row titles for {len(rows)} rows')
    if captions is not None and [len(texts) for texts in captions] != [len(row) for row in rows]:
        raise ValueError('a panel with captions needs one for each image')
    if (classes is None) != (palette is None):
        raise ValueError('a legend needs both classes and palette')


def _default_tile(image: np.ndarray) -> tuple[int, int]:
    """Width and height of the first image, times the least whole factor that gives 240 columns."""
    height, width = image.shape[:2]
    factor = -(-240 // width) if width < 240 else 1
    return width * factor, height * factor


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize to a tile: nearest pixel for painted labels, smoothly for photographs."""
    colour = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if colour.shape[:2] == (height, width):
        return colour
    if image.ndim == 3 and _is_painted(image):
        return cv2.resize(colour, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    shrinks = colour.shape[0] > height
    return cv2.resize(
        colour, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )


def _is_painted(image: np.ndarray) -> bool:
    """Whether an image has at most as many colours as a label map (256)."""
    packed = image.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.int32)
    return len(np.unique(packed)) <= 256


def _fit_text(text: str, width: int, size: int) -> str:
    """The text, or as much of its end as fits the width: file names differ at their end."""
    font = ImageFont.load_default(size)
    if font.getlength(text) <= width:
        return text
    kept = text
    while kept and font.getlength('…' + kept) > width:
        kept = kept[1:]
    return '…' + kept


def write_text(
    image: np.ndarray, texts: Sequence[tuple[str, tuple[int, int]]], size: int, anchor: str
) -> np.ndarray:
    """Write dark texts on an image.

    Args:
        image: ``(H, W, 3)`` BGR uint8.
        texts: Each text with its position (x, y) in pixels.
        size: Size of the font in pixels.
        anchor: What the position means, as Pillow names it: ``'mm'`` the middle, ``'lm'`` the
            middle of the left side.

    Returns:
        A copy with the texts.
    """
    sheet = Image.fromarray(np.ascontiguousarray(image[:, :, ::-1]))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size)
    for text, position in texts:
        draw.text(position, text, fill=_INK[::-1], font=font, anchor=anchor)
    return np.ascontiguousarray(np.asarray(sheet)[:, :, ::-1])
