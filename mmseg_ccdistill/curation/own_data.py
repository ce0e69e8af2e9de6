"""Configs for images and classes of one's own: from a folder to a source-only stage and an adaptation."""

from __future__ import annotations

import colorsys
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mmengine.fileio import list_dir_or_file
from mmseg.utils import get_classes, get_palette

from ccdistill.shipped_files import shipped_root

from ..datasets.class_pixels import class_pixels
from ..datasets.file_check import build_dataset, check_dataset
from ..datasets.pair_list import read_pair_list
from ..errors import UserInputError
from ..models.losses.class_weights import class_balance_weights
from ..runtime.atomic_file import write_atomically
from ..runtime.output_place import writing_into
from .own_data_configs import ADAPTATION, DAYS_AGAIN, MATCHED, NIGHTS, SOURCE

#: Endings of photos that are looked for.
PHOTOS = ('.jpg', '.jpeg', '.png')
LAYOUT = (
    'expected day/images, day/labels (PNG of the same name) and night/images, as ccdistill own-data --help shows; '
    'put the files there'
)
# Of a name without its ending: what a line night,day of stems cannot hold. Surrogates are bytes that are no UTF-8.
_UNLISTED = re.compile(r'[,\r\n\ud800-\udfff]|\s$|\.(png|jpe?g)$', re.IGNORECASE)


class OwnData(NamedTuple):
    """What was found in a folder.

    Attributes:
        root: The folder, as it was given.
        suffix: Ending of all photos.
        shares: Share of each class among the labelled pixels, ``(K,)`` float64.
        num_days: Labelled photos by day.
        num_pairs: Day-night pairs.
        num_unpaired: Nights that are in no pair, so that no training sees them.
        num_of_one_name: Those of them that have a day of their name.
        has_night_labels: Whether there are labelled nights to test on.
    """

    root: str
    suffix: str
    shares: np.ndarray
    num_days: int
    num_pairs: int
    num_unpaired: int
    num_of_one_name: int
    has_night_labels: bool


def read_own_data(root: str, classes: Sequence[str]) -> OwnData:
    """Look through a folder; write its ``pairs.csv`` if there is none.

    Args:
        root: Folder with ``day/images``, ``day/labels``, ``night/images``; ``night/labels`` and ``pairs.csv`` are
            optional. Without ``pairs.csv`` a night and a day of the same name are a pair.
        classes: Names in the order of the ids in the labels.

    Raises:
        UserInputError: If something lacks or does not fit.
        DatasetCheckError: If a label or photo is missing, broken, or of other ids, or the two of a pair differ in size.
    """
    folder = Path(root)
    for name in ('day/images', 'day/labels', 'night/images'):
        if not (folder / name).is_dir():
            raise UserInputError(f'there is no folder {str(folder / name)!r}: {LAYOUT}')
    suffix = _suffix(folder)
    pairs = folder / 'pairs.csv'
    if not pairs.exists():
        _pair_by_name(folder, suffix, pairs)
    has_night_labels = (folder / 'night/labels').is_dir()
    labelled = {}
    for light in ('day', 'night') if has_night_labels else ('day',):
        labelled[light] = build_dataset(
            dict(
                type='BaseSegDataset',
                data_root=root,
                data_prefix=dict(img_path=f'{light}/images', seg_map_path=f'{light}/labels'),
                img_suffix=suffix,
                seg_map_suffix='.png',
                metainfo=dict(classes=tuple(classes), palette=colours(classes)),
                pipeline=[dict(type='mmseg.LoadAnnotations')],
            )
        )
        check_dataset(labelled[light])
    pixels = class_pixels(labelled['day']).sum(axis=0)
    for name, count in zip(classes, pixels, strict=True):
        if not count:
            raise UserInputError(
                f'the class {name!r} has no pixel in {str(folder / "day/labels")!r}: expected each class of --classes '
                'in a label; label some, or leave the class out'
            )
    listed = read_pair_list(str(pairs))
    check_dataset(
        build_dataset(
            dict(
                type='DayNightPairDataset',
                data_root=root,
                ann_file='pairs.csv',
                img_suffix=suffix,
                pipeline=[],
            )
        )
    )
    unpaired = _stems(folder, 'night', suffix) - {night for night, _ in listed}
    days = {stem.removeprefix('day/') for stem in _stems(folder, 'day', suffix)}
    return OwnData(
        root,
        suffix,
        pixels / pixels.sum(),
        len(labelled['day']),
        len(listed),
        len(unpaired),
        sum(stem.removeprefix('night/') in days for stem in unpaired),
        has_night_labels,
    )


def _stems(folder: Path, light: str, suffix: str) -> set[str]:
    """Photos of one light as lists name them: ``night/images/NAME``."""
    photos = _files(folder / light / 'images', suffix)
    return {f'{light}/images/{name.removesuffix(suffix)}' for name in photos}


def _files(folder: Path, suffix: str | None = None) -> Iterator[str]:
    """What a data set would list of a folder: no hidden files, but those of linked folders."""
    return list_dir_or_file(str(folder), list_dir=False, suffix=suffix, recursive=True)


def _suffix(folder: Path) -> str:
    """The one ending of all photos."""
    names = [name for light in ('day', 'night') for name in _files(folder / light / 'images')]
    endings = {os.path.splitext(name)[1] for name in names}
    suffixes = sorted(ending for ending in endings if ending.lower() in PHOTOS)
    if len(suffixes) != 1:
        found = ', '.join(suffixes) or 'none'
        raise UserInputError(
            f'the photos of {str(folder)!r} end in {found}: expected one of {", ".join(PHOTOS)} for all days and '
            'nights; rename or convert them'
        )
    return suffixes[0]


def _pair_by_name(folder: Path, suffix: str, pairs: Path) -> None:
    """Write the list of nights and days that have the same name."""
    names = (
        {stem.removeprefix(f'{light}/images/') for stem in _stems(folder, light, suffix)}
        for light in ('night', 'day')
    )
    both = sorted(set.intersection(*names))
    if not both:
        raise UserInputError(
            f'no night of {str(folder / "night/images")!r} has the name of a day, and there is no {str(pairs)!r}: '
            'expected one of both; write the list, with a line night/images/NAME,day/images/NAME for each pair'
        )
    unlisted = [stem for stem in both if _UNLISTED.search(stem)]
    if unlisted:
        raise UserInputError(
            f'no list of pairs can name the photo {unlisted[0] + suffix!r} of {str(folder / "night/images")!r}: '
            'expected a name without a comma, a line break, a space or .jpg or .png before its ending, or bytes that '
            'are no UTF-8; rename the night, the day and its label'
        )
    lines = [f'night/images/{stem},day/images/{stem}\n' for stem in both]
    with writing_into(folder, 'change its permissions or make room, or put pairs.csv there'):
        write_atomically(pairs, ''.join(lines).encode())


def colours(classes: Sequence[str]) -> list[list[int]]:
    """A colour for each class: that of Cityscapes for its names, others around the circle of hues."""
    known = dict(zip(get_classes('cityscapes'), get_palette('cityscapes'), strict=True))
    hues = (colorsys.hsv_to_rgb(0.618034 * k % 1, 0.6, 1.0) for k in range(len(classes)))
    return [
        list(known.get(name, [round(255 * part) for part in hue]))
        for name, hue in zip(classes, hues, strict=True)
    ]


def write_own_configs(
    data: OwnData, classes: Sequence[str], static: Sequence[str], name: str, force: bool = False
) -> tuple[Path, Path, Path]:
    """Write ``configs/<name>_source.py``, ``<name>.py`` and ``<name>_matched.py`` into the working directory.

    Args:
        data: What :func:`read_own_data` has found.
        classes: Names in the order of the ids.
        static: Those that stay in place between day and night.
        name: Name of the adaptation: letters, digits, ``_`` and ``-``.
        force: Replace what exists.

    Raises:
        UserInputError: If a name does not fit, or a config exists and ``force`` is False.
    """
    if not re.fullmatch(r'[\w-]+', name):
        raise UserInputError(
            f'the name {name!r} of the configs: expected letters, digits, _ and - alone; name it with --name'
        )
    unknown = [one for one in static if one not in classes]
    if unknown:
        raise UserInputError(
            f'--static names {unknown[0]!r}: expected some of --classes, {", ".join(classes)}; correct it'
        )
    source, adaptation, matched = (
        Path('configs', f'{name}{end}.py') for end in ('_source', '', '_matched')
    )
    files = source, adaptation, matched
    for file in files:
        if file.exists() and not force:
            raise UserInputError(
                f'{str(file)!r} exists: expected a new config; choose another --name, or replace it with --force'
            )
    shipped = shipped_root() / 'configs'
    weights = class_balance_weights(data.shares.tolist())
    values = dict(
        name=name,
        root=repr(data.root.rstrip('/') + '/'),
        base='.' if Path('configs').resolve() == shipped else str(shipped),
        classes=list(classes),
        palette=colours(classes),
        shares=[float(f'{share:.3g}') for share in data.shares],
        class_weight=[round(weight, 4) for weight in weights.tolist()],
        suffix=data.suffix,
        static=list(static),
        tested=NIGHTS if data.has_night_labels else DAYS_AGAIN,
    )
    try:
        os.makedirs('configs', exist_ok=True)
        for file, template in zip(files, (SOURCE, ADAPTATION, MATCHED), strict=True):
            write_atomically(file, template.substitute(values).encode())
    except OSError as error:
        raise UserInputError(
            f'nothing can be written into {os.path.abspath("configs")!r} ({error.strerror}): expected a folder with '
            'the right to write; start the command in another folder'
        ) from error
    return files
