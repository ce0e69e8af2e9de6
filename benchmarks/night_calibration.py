"""Do rendered and simulated nights look like real ones? Light and colour of both, figure by figure.

    python -m benchmarks.night_calibration --real FOLDER --world FOLDER [FOLDER ...] [--others FOLDER [FOLDER ...]]

Measures every image of ``--real`` (real night frames, no labels needed), every night frame of the rendered sets
``--world``, and those of ``--others``, for example nights simulated on real frames, all at one height. A figure of a
set is inside if its 10th to 90th percentile lie between the least and the greatest value of the real frames. Writes
``night_calibration.json`` (statistics alone) and ``night_calibration.jpg`` (plots, and frames of the last rendered
set; no real pixel).
"""

from __future__ import annotations

import argparse
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import mmcv
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from benchmarks.repository import ROOT, code_state
from mmseg_ccdistill.datasets.transforms.lab_transfer import bgr_to_lab
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night.world_manifest import MANIFEST, USUAL
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.output_place import check_output_folder

#: Height in pixels at which all images are measured: that of the rendered frames.
HEIGHT = 270
#: Grey levels from which the brightest channel counts as saturated, and up to which as black.
SATURATED, BLACK = 250, 8
SUFFIXES = ('.jpg', '.jpeg', '.png')
NUM_PICTURES = 8

FIGURES = {
    'mean': 'luminance L*, mean',
    'p5': 'L*, 5th percentile',
    'p25': 'L*, 25th percentile',
    'p50': 'L*, median',
    'p75': 'L*, 75th percentile',
    'p95': 'L*, 95th percentile',
    'contrast': 'contrast: deviation of L*',
    'fine': 'fine contrast: step between pixels',
    'a': 'cast green to red, mean a*',
    'b': 'cast blue to yellow, mean b*',
    'colour': 'colours: deviation of a* and b*',
    'saturated': 'saturated, % of pixels',
    'black': 'black, % of pixels',
}


def measure(image: np.ndarray, height: int = HEIGHT) -> dict[str, float]:
    """Light and colour of an image.

    Args:
        image: uint8 BGR (H, W, 3).
        height: Rows to which a larger image is reduced first, so that noise and lamps compare.

    Returns:
        The figures of ``FIGURES``.
    """
    rows, columns = image.shape[:2]
    if rows > height:
        size = (round(columns * height / rows), height)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    lab = bgr_to_lab(image).reshape(-1, 3).astype(np.float64)
    light = lab[:, 0]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float64)
    peak = image.max(2)
    percentiles = {f'p{q}': float(np.percentile(light, q)) for q in (5, 25, 50, 75, 95)}
    return {
        'mean': float(light.mean()),
        **percentiles,
        'contrast': float(light.std()),
        'fine': float(np.abs(np.diff(grey, axis=1)).mean()),
        'a': float(lab[:, 1].mean()),
        'b': float(lab[:, 2].mean()),
        'colour': float(np.hypot(lab[:, 1].std(), lab[:, 2].std())),
        'saturated': float(100 * (peak >= SATURATED).mean()),
        'black': float(100 * (peak <= BLACK).mean()),
    }


def measure_files(files: Sequence[Path]) -> dict[str, np.ndarray]:
    """Figures of images: by name, in the order of the files."""
    rows = [measure(mmcv.imread(str(path))) for path in files]
    return {name: np.array([row[name] for row in rows]) for name in FIGURES}


def spread(values: np.ndarray) -> dict[str, float]:
    """Least value, 10th percentile, median, 90th percentile and greatest value."""
    shares = {'min': 0, 'p10': 10, 'median': 50, 'p90': 90, 'max': 100}
    return {name: round(float(np.percentile(values, q)), 3) for name, q in shares.items()}


def is_inside(rendered: Mapping[str, float], real: Mapping[str, float]) -> bool:
    """Whether four in five rendered frames lie within what the real frames reach."""
    return real['min'] <= rendered['p10'] and rendered['p90'] <= real['max']


def real_frames(folder: Path) -> list[Path]:
    """The images directly in a folder.

    Raises:
        UserInputError: If there are fewer than two.
    """
    found = [] if not folder.is_dir() else sorted(folder.iterdir())
    files = [path for path in found if path.suffix.lower() in SUFFIXES]
    if len(files) < 2:
        raise UserInputError(
            f'--real {str(folder)!r} holds {len(files)} images: name a folder with at least two night frames '
            f'({", ".join(SUFFIXES)})'
        )
    return files


def night_frames(world: Path) -> tuple[str, list[Path]]:
    """Name and night frames of a rendered set.

    Raises:
        UserInputError: If the folder is no finished set of mini night.
    """
    files = sorted((world / 'dark_zurich/rgb_anon').glob('*/night/*/*.png'))
    manifest = world / MANIFEST
    if not manifest.exists() or not files:
        raise UserInputError(
            f'--world {str(world)!r} is no rendered mini night: make one with '
            'tools/dataset_converters/mini_night.py'
        )
    settings = {**USUAL, **json.loads(manifest.read_text(encoding='utf-8'))}
    return f'{settings["night"]} night of world {settings["seed"]}', files


def frames_of_others(root: Path) -> tuple[str, list[Path]]:
    """Name and night frames of a set in the layout of Dark Zurich.

    Raises:
        UserInputError: If there are none.
    """
    found = sorted((root / 'dark_zurich/rgb_anon').glob('*/night/*/*'))
    files = [path for path in found if path.suffix.lower() in SUFFIXES]
    if not files:
        raise UserInputError(
            f'--others {str(root)!r} holds no night frames: expected dark_zurich/rgb_anon/<split>/night/<drive>/ with '
            f'images ({", ".join(SUFFIXES)})'
        )
    return f'{Path(os.path.abspath(root)).name} night', files


def compare(
    real: Mapping[str, np.ndarray], rendered: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, Any]:
    """The report: spreads of all figures, and for each rendered set which of them are inside."""
    limits = {name: spread(real[name]) for name in FIGURES}
    sets: dict[str, Any] = {}
    for title, figures in rendered.items():
        spreads = {name: spread(figures[name]) for name in FIGURES}
        inside = {name: is_inside(spreads[name], limits[name]) for name in FIGURES}
        sets[title] = {
            'frames': len(figures['mean']),
            'figures': spreads,
            'inside': inside,
            'all_inside': all(inside.values()),
        }
    return {'real': {'frames': len(real['mean']), 'figures': limits}, 'rendered': sets}


def table(report: Mapping[str, Any]) -> str:
    """The report as a Markdown table; what is outside stands in bold."""
    titles = list(report['rendered'])
    lines = [
        f'| figure | real, least to greatest | {" | ".join(f"{t}, 10 to 90 %" for t in titles)} |',
        '|---' * (len(titles) + 2) + '|',
    ]
    for name, text in FIGURES.items():
        real = report['real']['figures'][name]
        cells = [f'{real["min"]:.1f} to {real["max"]:.1f}']
        for title in titles:
            found = report['rendered'][title]
            values = found['figures'][name]
            cell = f'{values["p10"]:.1f} to {values["p90"]:.1f}'
            cells.append(cell if found['inside'][name] else f'**{cell}**')
        lines.append(f'| {text} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def draw(
    real: Mapping[str, np.ndarray],
    rendered: Mapping[str, Mapping[str, np.ndarray]],
    pictures: Sequence[Path],
) -> bytes:
    """Plots of all figures above rendered frames, as JPEG."""
    colors = ('#0072B2', '#D55E00', '#009E73', '#CC79A7')
    with rc_context({'font.size': 8, 'axes.edgecolor': '#8a8a8a'}):
        figure = Figure(figsize=(11, 9), layout='constrained')
        halves: Any = figure.subfigures(2, 1, height_ratios=(1.7, 1))
        plots, images = halves
        axes = plots.subplots(4, 4).ravel()
        for axis, (name, text) in zip(axes, FIGURES.items(), strict=False):
            axis.axvspan(real[name].min(), real[name].max(), color='#dddddd', lw=0)
            rows = {'real': real[name], **{t: figures[name] for t, figures in rendered.items()}}
            for row, values in enumerate(rows.values()):
                color = '#222222' if row == 0 else colors[(row - 1) % len(colors)]
                axis.plot(values, np.full(len(values), -row), '|', color=color, alpha=0.35, ms=7)
                axis.plot(np.percentile(values, (10, 90)), (-row, -row), color=color, lw=2)
                axis.plot(np.median(values), -row, 'o', color=color, ms=5)
            axis.set_title(text, fontsize=8)
            axis.set_yticks([-row for row in range(len(rows))], list(rows))
            axis.set_ylim(-len(rows) + 0.4, 0.6)
            if axis not in axes[::4]:
                axis.set_yticklabels([])
        for axis in axes[len(FIGURES) :]:
            axis.axis('off')
        axes[len(FIGURES)].text(
            0, 0.5, 'grey: from the least to the greatest\nreal frame\nbar: 10 to 90 %; dot: median'
        )
        for axis, path in zip(images.subplots(2, 4).ravel(), pictures, strict=False):
            axis.imshow(cv2.cvtColor(mmcv.imread(str(path)), cv2.COLOR_BGR2RGB))
        for axis in images.axes:
            axis.axis('off')
        buffer = io.BytesIO()
        figure.savefig(buffer, format='jpg', dpi=120, pil_kwargs={'quality': 82})
    return buffer.getvalue()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--real', type=Path, required=True, help='folder of real night frames')
    parser.add_argument('--world', type=Path, required=True, nargs='+', help='rendered sets')
    parser.add_argument(
        '--others',
        type=Path,
        default=[],
        nargs='+',
        help='other sets with dark_zurich/rgb_anon/<split>/night, called by the name of their folder',
    )
    parser.add_argument('--out', type=Path, default=ROOT / 'work_dirs/night_calibration')
    args = parser.parse_args(argv)
    check_output_folder(args.out)
    found = real_frames(args.real)
    worlds = [night_frames(world) for world in args.world]
    sets = [*worlds, *map(frames_of_others, args.others)]
    titles = [title for title, _ in sets]
    for folder, title in zip([*args.world, *args.others], titles, strict=True):
        if titles.count(title) > 1:
            raise UserInputError(
                f'{str(folder)!r} is one of {titles.count(title)} sets called {title!r}: name one, or rename a folder'
            )
    real = measure_files(found)
    rendered = {title: measure_files(files) for title, files in sets}
    report = {'height': HEIGHT, 'code': code_state(), **compare(real, rendered)}
    last = worlds[-1][1]  # frames of others are real, or made of real ones: they are not shown
    pictures = last[:: max(len(last) // NUM_PICTURES, 1)][:NUM_PICTURES]
    args.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2) + '\n'
    write_atomically(args.out / 'night_calibration.json', text.encode())
    write_atomically(args.out / 'night_calibration.jpg', draw(real, rendered, pictures))
    print(table(report))


if __name__ == '__main__':
    raise SystemExit(run_main(main))
