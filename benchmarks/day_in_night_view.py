"""How well does a day prediction come into the night view? Measured on pairs of mini night, whose geometry is known.

The labels of the day image stand for its prediction, and the rendered depth for that of a depth network: what is
measured is the alignment alone. Writes `day_in_night_view.json` and a picture.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from mmseg.utils import cityscapes_palette

from benchmarks.repository import ROOT
from mmseg_ccdistill.curriculum import How, RefinementSettings, count_alignments
from mmseg_ccdistill.curriculum.camera import intrinsics, rotation_degrees, see_from
from mmseg_ccdistill.curriculum.quad_warp import UNASSIGNED, quad_warp
from mmseg_ccdistill.curriculum.refinement import into_dark_view
from mmseg_ccdistill.mini_night import CLASSES, plan_frames, render_scene
from mmseg_ccdistill.mini_night.depth import scene_depth
from mmseg_ccdistill.mini_night.geometry import Camera
from mmseg_ccdistill.mini_night.writer import Frame
from mmseg_ccdistill.visualization.panel import colorize, panel, present_classes, write_image

Bytes = npt.NDArray[np.uint8]

#: Classes that stay in place, 0 to 10.
STATIC = 11
#: Probability of the label's class in what stands for the day prediction.
CONFIDENCE = 0.9
IGNORED = 255
#: Title of a row -> settings of the alignment; None: the day prediction as it is.
ROWS: dict[str, dict[str, Any] | None] = {
    'not aligned': None,
    'filter (GCMA)': dict(align='filter'),
    'homography': dict(align='homography'),
    'geometry, contrast as it is': dict(align='geometry', equalize=False),
    'geometry': dict(align='geometry'),
}
KNOWN = 'true motion and depth'


class Pair(NamedTuple):
    """A rendered pair: pictures, train ids, depth of the day in metres, and the true motion from day to night."""

    name: str
    day: Bytes
    night: Bytes
    day_label: Bytes
    night_label: Bytes
    depth: npt.NDArray[np.float32]
    rotation: npt.NDArray[np.float64]
    translation: npt.NDArray[np.float64]
    field_of_view: float


def render_pairs(number: int, size: tuple[int, int], seed: int) -> list[Pair]:
    """The first training pairs of mini night."""
    frames, _ = plan_frames(seed, 1, 1, number, 1, size, size)
    frames = [frame for frame in frames if frame.world == 'T' and '/train/' in frame.image]
    pairs = []
    for night, day in zip(frames[::2], frames[1::2], strict=True):
        day_picture, day_label, depth, here = _shoot(day)
        night_picture, night_label, _, there = _shoot(night)
        step = np.array([here.x - there.x, here.y - there.y, here.z - there.z])
        pairs.append(
            Pair(
                name=Path(night.image).stem,
                day=day_picture,
                night=night_picture,
                day_label=day_label,
                night_label=night_label,
                depth=depth,
                rotation=there.rotation() @ here.rotation().T,
                translation=there.rotation() @ step,
                field_of_view=2 * math.degrees(math.atan(size[0] / 2 / here.focal)),
            )
        )
    return pairs


def _shoot(frame: Frame) -> tuple[Bytes, Bytes, npt.NDArray[np.float32], Camera]:
    """Picture, train ids, depth and camera of a frame."""
    picture, label = render_scene(
        frame.world,
        frame.street,
        light=frame.light,
        view=frame.view,
        traffic_seed=frame.traffic,
        size=frame.size,
        seed=frame.seed,
    )
    depth, camera = scene_depth(
        frame.world,
        frame.street,
        night=frame.light == 'night',
        view=frame.view,
        traffic_seed=frame.traffic,
        size=frame.size,
        seed=frame.seed,
    )
    return picture, label, depth, camera


def prediction(label: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Probabilities ``(H, W, 19)`` that are as sure of each label; even where there is none."""
    classes = len(CLASSES)
    even = np.full((*label.shape, classes), 1 / classes)
    sure = np.eye(classes)[np.where(label == IGNORED, 0, label)]
    sure = CONFIDENCE * sure + (1 - CONFIDENCE) / classes
    return np.where((label == IGNORED)[..., None], even, sure)


def agreement(aligned: npt.NDArray[np.float64], pair: Pair) -> float:
    """Share of the static pixels of the night whose class the aligned day gives."""
    static = pair.night_label < STATIC
    return float((aligned.argmax(-1) == pair.night_label)[static].mean())


def by_true_motion(pair: Pair) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The day prediction in the night view as well as it can be, and where the day shows something."""
    day = prediction(pair.day_label)
    camera = intrinsics((pair.depth.shape[0], pair.depth.shape[1]), pair.field_of_view)
    seen = see_from(pair.depth, camera, pair.rotation, pair.translation)
    warped = quad_warp(day, seen.places, seen.depth, seen.ahead)
    covered = warped.source != UNASSIGNED
    return np.where(covered[..., None], warped.values, day), covered


def measure(pairs: list[Pair]) -> dict[str, Any]:
    """Mean agreement of each row, and what was done with the pairs."""
    results: dict[str, Any] = {}
    for title, settings in ROWS.items():
        scores, errors, hows = [], [], dict[str, How]()
        for pair in pairs:
            day = prediction(pair.day_label)
            if settings is not None:
                chosen = RefinementSettings(field_of_view=pair.field_of_view, **settings)
                day, _, how = into_dark_view(day, pair.night, pair.day, chosen, pair.depth)
                hows[pair.name] = how
                if how['kind'] == 'warped':
                    path = float(np.linalg.norm(pair.translation))
                    turn = rotation_degrees(pair.rotation)
                    errors.append((abs(how['distance'] - path), abs(how['rotation'] - turn)))
            scores.append(agreement(day, pair))
        counts = count_alignments(hows)
        results[title] = {
            'agreement': 100 * float(np.mean(scores)),
            **{kind: counts[kind] for kind in ('warped', 'homography', 'filtered')},
        }
        if errors:
            metres, degrees = np.median(errors, axis=0)
            results[title] |= {'error_m': float(metres), 'error_degrees': float(degrees)}
    known = float(np.mean([agreement(by_true_motion(pair)[0], pair) for pair in pairs]))
    results[KNOWN] = {'agreement': 100 * known}
    return results


def picture(pairs: list[Pair]) -> npt.NDArray[np.uint8]:
    """Each pair by day and at night, and its labels by day, in the night view, and at night."""
    palette = cityscapes_palette()
    rows, maps = [], []
    for pair in pairs:
        settings = RefinementSettings(align='geometry', field_of_view=pair.field_of_view)
        day = prediction(pair.day_label)
        warped, covered, _ = into_dark_view(day, pair.night, pair.day, settings, pair.depth)
        label = np.where(covered, warped.argmax(-1), IGNORED).astype(np.uint8)
        shown = [pair.day_label, label, pair.night_label]
        maps += shown
        rows.append([pair.day, pair.night, *(colorize(one, palette) for one in shown)])
    titles = ('day', 'night', 'labels by day', 'the same in the night view', 'labels at night')
    names, colours = present_classes(maps, CLASSES, palette)
    return panel(rows, titles, tile_size=(320, 180), classes=names, palette=colours)


def main() -> None:
    """Render, align, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs/day_in_night_view')
    parser.add_argument('--pairs', type=int, default=20)
    parser.add_argument('--shown', type=int, default=3, help='pairs in the picture')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 270), metavar=('W', 'H'))
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pairs = render_pairs(args.pairs, (args.size[0], args.size[1]), args.seed)
    write_image(args.out / 'day_in_night_view.jpg', picture(pairs[: args.shown]))
    results = {'pairs': args.pairs, 'size': list(args.size), 'rows': measure(pairs)}
    (args.out / 'day_in_night_view.json').write_text(json.dumps(results, indent=2) + '\n')
    for title, row in results['rows'].items():
        print(title, {key: round(value, 3) for key, value in row.items()})


if __name__ == '__main__':
    main()
