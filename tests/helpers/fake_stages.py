"""Programs in the place of the training and the labelling of a curriculum, and the files that it needs to start.

What they write follows from what they read, as with the real ones; each file costs them a moment. ``KILL`` in the
environment names the file before which a program kills itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIGHTS = ('day', 'twilight', 'night')


def make_place(folder: Path) -> Path:
    """Write what the mini configs name: photos, correspondences, a source-only checkpoint.

    Args:
        folder: Working directory of the curriculum.
    """
    (folder / 'configs').symlink_to(ROOT / 'configs')
    data = folder / 'data/mini_night/dark_zurich'
    for light in LIGHTS:
        for index in range(3):
            path = data / f'rgb_anon/train/{light}/A/A_frame_{index:06d}_rgb_anon.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'{light} {index}')
    pairs = data / 'corresp/train/twilight/A_ref_day.csv'
    pairs.parent.mkdir(parents=True)
    pairs.write_text('train/twilight/A/A_frame_000000,train/day/A/A_frame_000000\n')
    nights = data / 'lists/zurich_dn_pair_train.csv'
    nights.parent.mkdir()
    stems = [f'A/A_frame_{index:06d}' for index in range(3)]
    nights.write_text(''.join(f'train/night/{stem},train/day/{stem}\n' for stem in stems))
    source = folder / 'work_dirs/refinenet/refinenet_small_mini/iter_600.pth'
    source.parent.mkdir(parents=True)
    source.write_text('source only')
    return folder


def write(path: Path, text: str) -> None:
    """Write a file, or die before it."""
    if os.environ.get('KILL') in (path.name, '/'.join(path.parts[-2:])):
        os.kill(os.getpid(), 9)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def digest(text: str) -> str:
    """Content that follows from a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def note(words: list[str]) -> None:
    """Append the call to ``calls.txt``."""
    with open('calls.txt', 'a') as file:
        file.write(' '.join(words) + '\n')


def train(words: list[str]) -> None:
    """``tools/train.py``: a checkpoint from the start and the manifests of the labels."""
    note(['train', *words])
    options = dict(word.split('=', 1) for word in words[words.index('--cfg-options') + 1 :])
    folder = Path(words[words.index('--work-dir') + 1])
    parts = [Path(options['load_from']).read_text()]
    parts += [
        (Path(value) / 'manifest.json').read_text()
        for key, value in sorted(options.items())
        if key.endswith(('seg_map_path', 'night_label_dir'))
    ]
    for name in ('iter_300.pth', 'iter_600.pth'):
        write(folder / name, digest(f'{name} {parts}'))


def label(words: list[str]) -> None:
    """``tools/pseudo_label.py``: a label for each image, then the manifest."""
    note(['label', *words])
    checkpoint, images = words[1], 'data/mini_night/dark_zurich/rgb_anon/train/night'
    if '--images' in words:
        images = words[words.index('--images') + 1]
    folder = Path(words[words.index('--out') + 1])
    made_by = Path(checkpoint).read_text()
    names = sorted(path.relative_to(images) for path in Path(images).rglob('*.png'))
    for name in names:
        if not (folder / name).exists():
            write(folder / name, digest(f'{made_by} {name}'))
    manifest = dict(settings=dict(checkpoint=digest(made_by)), images=list(map(str, names)))
    write(folder / 'manifest.json', json.dumps(dict(manifest, finished=True)))


if __name__ == '__main__':
    code = os.environ.get('EXIT')
    if code is not None:
        sys.exit(int(code))
    {'train': train, 'label': label}[sys.argv[1]](sys.argv[2:])
