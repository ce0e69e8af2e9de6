"""Write mini night to disk in the layouts of Cityscapes and Dark Zurich."""

from __future__ import annotations

import functools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from ..datasets.file_scan import available_cores, map_processes
from ..errors import UserInputError
from .render import VERSION, View, render_scene

MANIFEST = 'mini_night.json'
PAIR_LIST = 'dark_zurich/lists/zurich_dn_pair_train.csv'
PER_SEQUENCE = 40
# First street seed of every split: the ranges never meet, so no evaluation street is trained on.
FIRST_STREET = {
    'source_train': 0,
    'source_val': 1_000_000,
    'target_train': 2_000_000,
    'target_val': 3_000_000,
}


@dataclass(frozen=True)
class Frame:
    """One picture to render and where it and its labels (if any) go, relative to the root."""

    image: str
    label: str | None
    world: str
    street: int
    traffic: int
    light: Literal['day', 'night']
    view: View
    size: tuple[int, int]
    seed: int


def _view(rng: np.random.Generator) -> View:
    """A car in its lane: a little off the middle, not quite straight."""
    return View(float(rng.uniform(-0.35, 0.35)), 0.0, float(rng.normal(0, 0.03)))


def _nearby(view: View, rng: np.random.Generator) -> View:
    """Another drive past the same place: 0.3 to 1.5 m away, turned by a few degrees at most."""
    distance, angle = rng.uniform(0.3, 1.5), rng.uniform(0, 2 * np.pi)
    right = float(np.clip(0.6 * distance * np.sin(angle), -0.8, 0.8))
    ahead = float(np.copysign(np.sqrt(distance**2 - right**2), np.cos(angle)))
    return View(
        view.right + right, view.ahead + ahead, view.yaw + float(rng.uniform(-0.035, 0.035))
    )


def plan_frames(
    seed: int,
    num_source_train: int,
    num_source_val: int,
    num_pairs: int,
    num_target_val: int,
    source_size: tuple[int, int],
    target_size: tuple[int, int],
) -> tuple[list[Frame], list[str]]:
    """List every frame of a set, and the lines of its pair list sorted by the night stem."""
    frames: list[Frame] = []
    for split, city, count in (
        ('train', 'mini', num_source_train),
        ('val', 'minival', num_source_val),
    ):
        for i in range(count):
            street = FIRST_STREET[f'source_{split}'] + i
            name = f'{city}{i // PER_SEQUENCE:02d}'
            stem = f'{split}/{name}/{name}_{i:06d}_000019'
            view = _view(np.random.default_rng([seed, street, 4]))
            frames.append(
                Frame(
                    f'cityscapes/leftImg8bit/{stem}_leftImg8bit.png',
                    f'cityscapes/gtFine/{stem}_gtFine_labelTrainIds.png',
                    'S',
                    street,
                    0,
                    'day',
                    view,
                    source_size,
                    seed,
                )
            )
    pairs: list[str] = []

    def target(
        stem: str,
        street: int,
        traffic: int,
        light: Literal['day', 'night'],
        view: View,
        labelled: bool,
    ) -> None:
        label = f'dark_zurich/gt/{stem}_gt_labelTrainIds.png' if labelled else None
        image = f'dark_zurich/rgb_anon/{stem}_rgb_anon.png'
        frames.append(Frame(image, label, 'T', street, traffic, light, view, target_size, seed))

    for split, tag, count in (('train', '', num_pairs), ('val', 'V', num_target_val)):
        for i in range(count):
            street = FIRST_STREET[f'target_{split}'] + i
            rng = np.random.default_rng([seed, street, 4])
            view = _view(rng)
            sequence, frame = i // PER_SEQUENCE, i % PER_SEQUENCE
            night = f'{split}/night/MN{tag}{sequence:03d}/MN{tag}{sequence:03d}_frame_{frame:06d}'
            day = f'{split}/day/MD{tag}{sequence:03d}/MD{tag}{sequence:03d}_frame_{frame:06d}'
            target(night, street, 0, 'night', view, True)
            if split == 'train':
                target(day, street, 1, 'day', _nearby(view, rng), True)
                pairs.append(f'{night},{day}')
            else:  # the same moment by day: what light alone does
                target(day, street, 0, 'day', view, True)
    return frames, sorted(pairs)


def _save(path: Path, image: npt.NDArray[np.uint8]) -> None:
    """Write a PNG so that it is there whole or not at all."""
    ok, data = cv2.imencode('.png', image, [cv2.IMWRITE_PNG_COMPRESSION, 2])
    if not ok:
        raise RuntimeError(f'OpenCV could not encode {path}')
    partial = path.with_name(f'{path.name}.{os.getpid()}.tmp')
    partial.write_bytes(data.tobytes())
    os.replace(partial, path)


def _render_to_disk(root: str, frame: Frame) -> None:
    picture, labels = render_scene(
        frame.world,
        frame.street,
        light=frame.light,
        view=frame.view,
        traffic_seed=frame.traffic,
        size=frame.size,
        seed=frame.seed,
    )
    if frame.label is not None:
        _save(Path(root) / frame.label, labels)
    _save(Path(root) / frame.image, picture)


def _render_all(root: Path, frames: list[Frame], workers: int) -> None:
    for folder in sorted(
        {(root / name).parent for f in frames for name in (f.image, f.label) if name}
    ):
        folder.mkdir(parents=True, exist_ok=True)
    render = functools.partial(_render_to_disk, str(root))
    for _ in map_processes(render, frames, 'Rendering mini night', workers, chunk=1):
        pass


def _check(name: str, value: Any, low: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise UserInputError(f'{name} must be a whole number of at least {low}, got {value!r}')
    return value


def _stray(root: Path, frames: list[Frame]) -> Path | None:
    """The first picture under the dataset folders that this set would not have written."""
    known = {root / name for f in frames for name in (f.image, f.label) if name}
    for part in ('cityscapes', 'dark_zurich'):
        for path in sorted((root / part).rglob('*.png')):
            if path not in known:
                return path
    return None


def write_mini_night(
    out_dir: str | Path,
    *,
    seed: int = 0,
    num_source_train: int = 240,
    num_source_val: int = 40,
    num_pairs: int = 160,
    num_target_val: int = 40,
    source_size: tuple[int, int] = (512, 256),
    target_size: tuple[int, int] = (480, 270),
    workers: int | None = None,
) -> Path:
    """Render mini night below ``out_dir``, unless it is already there.

    World S by day, labelled, goes to ``cityscapes/{leftImg8bit,gtFine}/{train,val}/<city>/``. World
    T goes to ``dark_zurich/rgb_anon`` and ``dark_zurich/gt``: day-night pairs in
    ``train/{night,day}`` (their labels are for measuring upper bounds only), and
    in ``val/{night,day}`` the same moments by night and by day, labelled. Beside them lie the pair
    list and ``mini_night.json``, which is written last. Labels are train ids 0..18, 255 is ignored.
    The same arguments give the same bytes, whatever the number of workers.

    Args:
        out_dir: Root folder; made if missing. Nothing in it is ever deleted.
        seed: Renderer seed: other streets, and for other than 0 other worlds.
        num_source_train: Labelled source images for training.
        num_source_val: Labelled source images for validation.
        num_pairs: Unlabelled day-night pairs of the target.
        num_target_val: Labelled target nights for validation, and as many days.
        source_size: Width and height of world S in pixels.
        target_size: Width and height of world T in pixels.
        workers: Processes; default one per available core.

    Returns:
        The root folder.

    Raises:
        UserInputError: If an argument is out of range, or the folder holds another set.
    """
    root = Path(out_dir)
    counts = {
        'num_source_train': num_source_train,
        'num_source_val': num_source_val,
        'num_pairs': num_pairs,
        'num_target_val': num_target_val,
    }
    for name, value in counts.items():
        _check(name, value, 1)
    _check('seed', seed, 0)
    for name, size in (('source_size', source_size), ('target_size', target_size)):
        if len(size) != 2 or size[0] < 64 or size[1] < 32:
            raise UserInputError(
                f'{name} must be (width, height) of at least (64, 32), got {tuple(size)}'
            )
    workers = available_cores() if workers is None else _check('workers', workers, 1)
    wanted: dict[str, Any] = {
        'renderer_version': VERSION,
        'seed': seed,
        **counts,
        'source_size': list(source_size),
        'target_size': list(target_size),
    }
    frames, pairs = plan_frames(
        seed,
        num_source_train,
        num_source_val,
        num_pairs,
        num_target_val,
        (source_size[0], source_size[1]),
        (target_size[0], target_size[1]),
    )
    manifest = root / MANIFEST
    todo = frames
    if manifest.exists():
        try:
            found = json.loads(manifest.read_text(encoding='utf-8'))
        except ValueError as error:
            raise UserInputError(
                f'{manifest} is not readable as JSON: remove it to have the set completed again'
            ) from error
        if found != wanted:
            other = ', '.join(
                f'{k} {found.get(k)!r} instead of {v!r}'
                for k, v in wanted.items()
                if found.get(k) != v
            )
            raise UserInputError(
                f'{root} holds a mini night with {other or "other keys"}: choose another folder'
            )
        todo = [
            f
            for f in frames
            if not all((root / name).exists() for name in (f.image, f.label) if name)
        ]
    else:
        stray = _stray(root, frames)
        if stray is not None:
            raise UserInputError(
                f'{stray} is not of this mini night: choose an empty folder, '
                'or the parameters that it was made with'
            )
    if todo:
        _render_all(root, todo, workers)
    lines = ''.join(f'{line}\n' for line in pairs).encode()
    listing = root / PAIR_LIST
    if not listing.exists() or listing.read_bytes() != lines:
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_bytes(lines)
    if not manifest.exists():
        partial = manifest.with_suffix('.tmp')
        partial.write_text(json.dumps(wanted, indent=2) + '\n', encoding='utf-8')
        os.replace(partial, manifest)
    return root
