"""Palettes of labels: does index k of the file stand for class k?

Labels are read as indices, whatever colours they show. A tool that makes PNG files smaller keeps the
colours and numbers the indices anew, so the same picture holds other classes. Whether that happened is
told by the colours: a grey must be its index, the colour of a class must have the number of the class.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from PIL import Image

Colour = tuple[int, int, int]

#: Palette of an image of one bit: black and white.
_ONE_BIT = '000000ffffff'
_BLACK: Colour = (0, 0, 0)
_RESTORE = 'restore the label from before it was made smaller'
_WRITE_GREYS = (
    "write the greys as one channel, Image.open(FILE).convert('L').save(FILE) of Pillow, or "
)
_WRITE_INDICES = (
    'if the indices are the ids, write them without the palette, '
    'Image.fromarray(np.asarray(Image.open(FILE))).save(FILE) of numpy and Pillow, else '
)


class LabelIds(NamedTuple):
    """What the ids in the label files of a data set stand for.

    Attributes:
        names: Class of each id; None where an id stands for none.
        colours: Colour of each id; None where it has none.
        ignore_index: Id of pixels that are left out.
    """

    names: tuple[str | None, ...]
    colours: tuple[Colour | None, ...]
    ignore_index: int


def read_palette(image: Image.Image) -> str:
    """Colours of the indices of a decoded label: ``'rrggbb'`` for index 0, 1, … in hexadecimal; empty for greys.

    Transparency is left out. An image of one bit, read as 0 and 1, shows black and white.
    """
    if image.mode == '1':
        return _ONE_BIT
    if image.mode != 'P':
        return ''
    return bytes(image.getpalette() or ()).hex()


def shows_own_greys(values: Sequence[int], palette: str) -> bool:
    """Tell whether every value of an image shows, by :func:`read_palette`, the grey of its own number."""
    raw = bytes.fromhex(palette)
    return all(raw[3 * value : 3 * value + 3] == bytes([value] * 3) for value in values)


def voc_colours() -> tuple[Colour, ...]:
    """Colours of PASCAL VOC's palette, index 0 to 255: bits of the index, highest colour bit first.

    Everingham et al., VOC2012 development kit, ``VOClabelcolormap``.
    """
    colours = []
    for index in range(256):
        channels = [0, 0, 0]
        for bit in range(8):
            channels[bit % 3] |= ((index >> bit) & 1) << (7 - bit // 3)
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


def ids_of(dataset: Any) -> LabelIds:
    """Say what the ids in the label files of a data set stand for.

    A choice of classes (``label_map``) numbers them anew while loading; on disk they are those of the data set's class.
    """
    meta = dataset.METAINFO if getattr(dataset, 'label_map', None) else dataset.metainfo
    names: list[str | None] = list(meta.get('classes') or ())
    palette = list(meta.get('palette') or ())
    colours: list[Colour | None] = [_colour(c) for c in palette[: len(names)]]
    colours += [None] * (len(names) - len(colours))
    if names and getattr(dataset, 'reduce_zero_label', False):
        names, colours = [None, *names], [None, *colours]
    return LabelIds(tuple(names), tuple(colours), getattr(dataset, 'ignore_index', 255))


def _colour(values: Sequence[int]) -> Colour:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def palette_fault(label: str, values: Sequence[int], palette: str, ids: LabelIds) -> str | None:
    """Say that an index of a label shows, by :func:`read_palette`, the colour of something else, or None."""
    shown = _shown(values, palette, ids)
    if not shown or (len(shown) > 1 and len(set(shown.values())) == 1):
        return None  # a blank palette: no optimiser keeps two indices of one colour
    if _is_of_classes(shown, ids.colours) or _is_binary_mask(shown, ids) or _is_voc(shown):
        return None
    index_and_class = _as_class(shown, ids.colours)
    if index_and_class is not None:
        index, other = index_and_class
        return _sentence(
            label, index, f'the colour of class {other} ({ids.names[other]})', 'the id of its class'
        )
    grey = _as_grey(shown, palette, ids)
    if grey is not None:
        rewrite = _WRITE_GREYS if _are_ids(shown, ids) else _WRITE_INDICES
        return _sentence(label, grey[0], f'grey {grey[1]}', 'its own grey', rewrite)
    index_and_place = _as_voc(shown, palette, ids)
    if index_and_place is not None:
        index, other = index_and_place
        return _sentence(
            label, index, f"the colour of index {other} of PASCAL VOC's palette", 'its own colour'
        )
    return None


def _sentence(label: str, index: int, shows: str, expected: str, rewrite: str = '') -> str:
    return (
        f'The label {label!r} holds the index {index}, which shows {shows}: expected every index to be '
        f'{expected}, because training reads the indices (PNG optimisers number them anew); '
        f'{rewrite}{_RESTORE} (docs/data.md has the lines).'
    )


def _shown(values: Sequence[int], palette: str, ids: LabelIds) -> dict[int, Colour]:
    """Colour of each value that stands for a class; values without a colour are left out."""
    raw = bytes.fromhex(palette)
    return {
        value: (raw[3 * value], raw[3 * value + 1], raw[3 * value + 2])
        for value in values
        if 3 * value + 2 < len(raw) and value != ids.ignore_index and _stands_for(value, ids)
    }


def _stands_for(value: int, ids: LabelIds) -> bool:
    """Tell whether an id stands for a class; without named classes every one does."""
    return not ids.names or (value < len(ids.names) and ids.names[value] is not None)


def _is_of_classes(shown: dict[int, Colour], colours: Sequence[Colour | None]) -> bool:
    return all(index < len(colours) and colours[index] == shown[index] for index in shown)


def _as_class(shown: dict[int, Colour], colours: Sequence[Colour | None]) -> tuple[int, int] | None:
    """The first index that shows another class, and that class, if the palette is one of classes.

    One other colour may be among them: ignored pixels have one of their own.
    """
    wrong: dict[int, int] = {}
    others = 0
    for index, colour in shown.items():
        if index < len(colours) and colours[index] == colour:
            continue
        if colour in colours:
            wrong[index] = colours.index(colour)
        else:
            others += 1
    return next(iter(wrong.items()), None) if others <= 1 else None


def _is_binary_mask(shown: dict[int, Colour], ids: LabelIds) -> bool:
    """Tell whether it is the usual mask of two classes: 0 is black, 1 is white."""
    return len(ids.names) == 2 and all(colour == (255 * i,) * 3 for i, colour in shown.items())


def _is_voc(shown: dict[int, Colour]) -> bool:
    voc = voc_colours()
    return all(voc[index] == colour for index, colour in shown.items())


def _as_grey(shown: dict[int, Colour], palette: str, ids: LabelIds) -> tuple[int, int] | None:
    """The first index that shows another grey, and that grey, if the palette is one of greys.

    It is if it has no other colours, or if the greys shown are ids (the rest is a leftover then); a
    palette of classes may have greys among its colours.
    """
    greys = {index: colour[0] for index, colour in shown.items() if _is_grey(colour)}
    if len(greys) < len(shown):
        return None
    if not _are_ids(shown, ids) and not all(_is_grey(colour) for colour in _colours(palette)):
        return None
    return next(((i, grey) for i, grey in greys.items() if grey != i), None)


def _are_ids(greys: dict[int, Colour], ids: LabelIds) -> bool:
    """Tell whether greys would be ids of the data set if they were written as one channel."""
    values = {colour[0] for colour in greys.values()}
    return bool(ids.names) and all(v == ids.ignore_index or _stands_for(v, ids) for v in values)


def _is_grey(colour: Colour) -> bool:
    return colour[0] == colour[1] == colour[2]


def _colours(palette: str) -> set[Colour]:
    raw = bytes.fromhex(palette)
    starts = range(0, len(raw) + 1, 3)
    return {_colour(raw[start:end]) for start, end in pairwise(starts)}


def _as_voc(shown: dict[int, Colour], palette: str, ids: LabelIds) -> tuple[int, int] | None:
    """The first index that shows another index of VOC's palette, and that index.

    Only a palette that has no colour but those shown, as an optimiser leaves it: a palette of one's
    own may be made of the same colours.
    """
    voc = voc_colours()
    places = {index: voc.index(colour) for index, colour in shown.items() if colour in voc}
    spare = _colours(palette) - set(shown.values()) - {_BLACK}
    if len(places) < len(shown) or spare:
        return None
    if not all(_stands_for(p, ids) or p == ids.ignore_index for p in places.values()):
        return None
    return next(((i, place) for i, place in places.items() if place != i), None)


def disagreement_fault(
    labels: Sequence[tuple[str, Sequence[int], str]], ids: LabelIds
) -> str | None:
    """Say that two labels (file, values, palette) of a data set show one index in two colours, or None.

    Palettes that are right by themselves (greys, the colours of the classes, VOC's) need not agree.
    """
    first: dict[int, tuple[str, Colour]] = {}
    for label, values, palette in labels:
        shown = _shown(values, palette, ids)
        known = _is_of_classes(shown, ids.colours) or _is_voc(shown)
        if known or all(colour == (index,) * 3 for index, colour in shown.items()):
            continue
        for index, colour in shown.items():
            other, before = first.setdefault(index, (label, colour))
            if before != colour:
                return (
                    f'The label {label!r} shows the index {index} in the colour {colour}, and the label '
                    f'{other!r} in {before}: expected one colour for each class, because training reads '
                    f'the indices (PNG optimisers number them anew); {_RESTORE} (docs/data.md has the '
                    'lines).'
                )
    return None
