"""Which frames a set of mini night has: streets, moments, light, camera and file of each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from .render import Level, View

Night = Literal['easy', 'hard']
#: Light of the night frames, by the night that was chosen.
NIGHTS: dict[Night, Level] = {'easy': 'night', 'hard': 'hard_night'}
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
    light: Level
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
    night: Night = 'easy',
) -> tuple[list[Frame], list[str]]:
    """List every frame of a set, and the lines of its pair list sorted by the night stem."""
    frames: list[Frame] = []
    dark: Level = NIGHTS[night]
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
        light: Level,
        view: View,
    ) -> None:
        label = f'dark_zurich/gt/{stem}_gt_labelTrainIds.png'
        image = f'dark_zurich/rgb_anon/{stem}_rgb_anon.png'
        frames.append(Frame(image, label, 'T', street, traffic, light, view, target_size, seed))

    for split, tag, count in (('train', '', num_pairs), ('val', 'V', num_target_val)):
        for i in range(count):
            street = FIRST_STREET[f'target_{split}'] + i
            rng = np.random.default_rng([seed, street, 4])
            view = _view(rng)
            sequence, frame = i // PER_SEQUENCE, i % PER_SEQUENCE
            stem = f'{split}/night/MN{tag}{sequence:03d}/MN{tag}{sequence:03d}_frame_{frame:06d}'
            day = f'{split}/day/MD{tag}{sequence:03d}/MD{tag}{sequence:03d}_frame_{frame:06d}'
            target(stem, street, 0, dark, view)
            if split == 'train':
                target(day, street, 1, 'day', _nearby(view, rng))
                pairs.append(f'{stem},{day}')
            else:  # the same moment by day: what light alone does
                target(day, street, 0, 'day', view)
    return frames, sorted(pairs)


def source_frames_at_night(frames: list[Frame], night: Night) -> list[Frame]:
    """The training frames of S once more, at night: same moment, camera and file names, no labels of their own.

    Args:
        frames: Frames of the set.
        night: Which night.

    Returns:
        The further frames, below ``cityscapes/leftImg8bit_night/train``.
    """
    day = 'cityscapes/leftImg8bit/train/'
    return [
        replace(
            frame,
            image=frame.image.replace('leftImg8bit', 'leftImg8bit_night', 1),
            label=None,
            light=NIGHTS[night],
        )
        for frame in frames
        if frame.image.startswith(day)
    ]


def twilight_frames(frames: list[Frame]) -> tuple[list[Frame], dict[str, list[str]]]:
    """One unlabelled frame in twilight for each training day of T: another drive past the same place.

    Args:
        frames: Frames of the set.

    Returns:
        The further frames, below ``dark_zurich/rgb_anon/train/twilight``, and the lines ``twilight,day`` of the day
        correspondences by file, ``dark_zurich/corresp/train/twilight/<sequence>_ref_day.csv``.
    """
    further: list[Frame] = []
    lines: dict[str, list[str]] = defaultdict(list)
    root, suffix = 'dark_zurich/rgb_anon/', '_rgb_anon.png'
    for frame in frames:
        if not frame.image.startswith(f'{root}train/day/'):
            continue
        day = frame.image[len(root) : -len(suffix)]
        stem = day.replace('/day/', '/twilight/').replace('MD', 'MT')
        rng = np.random.default_rng([frame.seed, frame.street, 8])
        further.append(
            replace(
                frame,
                image=f'{root}{stem}{suffix}',
                label=None,
                traffic=2,
                light='twilight',
                view=_nearby(frame.view, rng),
            )
        )
        sequence = stem.split('/')[2]
        lines[f'dark_zurich/corresp/train/twilight/{sequence}_ref_day.csv'].append(f'{stem},{day}')
    return further, dict(lines)
