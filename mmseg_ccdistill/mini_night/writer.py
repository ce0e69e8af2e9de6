"""Write mini night to disk in the layouts of Cityscapes and Dark Zurich."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import numpy.typing as npt

from ..datasets.file_scan import available_cores, map_processes
from ..errors import UserInputError
from ..runtime.atomic_file import write_atomically
from .frames import Frame, Night, plan_frames, source_frames_at_night, twilight_frames
from .render import VERSION, render_scene
from .world_manifest import MANIFEST, check_same_set, manifest_text

PAIR_LIST = 'dark_zurich/lists/zurich_dn_pair_train.csv'


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
    night: Night = 'easy',
    twilight: bool = False,
    source_at_night: bool = False,
    workers: int | None = None,
) -> Path:
    """Render mini night below ``out_dir``, unless it is already there.

    World S by day, labelled, goes to ``cityscapes/{leftImg8bit,gtFine}/{train,val}/<city>/``. World
    T goes to ``dark_zurich/rgb_anon`` and ``dark_zurich/gt``: day-night pairs in
    ``train/{night,day}`` (their labels are for measuring upper bounds only), and
    in ``val/{night,day}`` the same moments by night and by day, labelled. Beside them lie the pair
    list and ``mini_night.json``, which is written last. Labels are train ids 0..18, 255 is ignored.
    The same arguments give the same bytes, whatever the number of workers. ``twilight`` and
    ``source_at_night`` add files and change none, so a finished set may get them later.

    Args:
        out_dir: Root folder; made if missing. Nothing in it is ever deleted, and a list that was changed stays; a
            printed line says so.
        seed: Renderer seed: other streets, and for other than 0 other worlds.
        num_source_train: Labelled source images for training.
        num_source_val: Labelled source images for validation.
        num_pairs: Unlabelled day-night pairs of the target.
        num_target_val: Labelled target nights for validation, and as many days.
        source_size: Width and height of world S in pixels.
        target_size: Width and height of world T in pixels.
        night: Light of the night frames; the days do not depend on it.
        twilight: Whether to add a frame in twilight for each pair, unlabelled, with its day correspondence:
            ``rgb_anon/train/twilight`` and ``corresp/train/twilight``.
        source_at_night: Whether to add the training frames of S at night:
            ``cityscapes/leftImg8bit_night/train``, with the file names and labels of the days.
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
    if night not in get_args(Night):
        raise UserInputError(f"night must be 'easy' or 'hard', got {night!r}")
    workers = available_cores() if workers is None else _check('workers', workers, 1)
    wanted: dict[str, Any] = {
        'renderer_version': VERSION,
        'seed': seed,
        **counts,
        'source_size': list(source_size),
        'target_size': list(target_size),
        'night': night,
    }
    frames, pairs = plan_frames(
        seed,
        num_source_train,
        num_source_val,
        num_pairs,
        num_target_val,
        (source_size[0], source_size[1]),
        (target_size[0], target_size[1]),
        night,
    )
    usual, listings = list(frames), {PAIR_LIST: pairs}
    if twilight:
        further, correspondences = twilight_frames(usual)
        frames, listings = [*frames, *further], {**listings, **correspondences}
    if source_at_night:
        frames = [*frames, *source_frames_at_night(usual, night)]
    manifest = root / MANIFEST
    todo = frames
    if manifest.exists():
        check_same_set(manifest, wanted)
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
    for name, rows in listings.items():
        lines, listing = ''.join(f'{row}\n' for row in rows).encode(), root / name
        if not listing.exists():
            listing.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(listing, lines)
        elif listing.read_bytes() != lines:
            print(
                f'{listing} differs from the list of this mini night and stays as it is: to have it written anew, '
                'delete it and start again'
            )
    if not manifest.exists():
        write_atomically(manifest, manifest_text(wanted).encode())
    return root
