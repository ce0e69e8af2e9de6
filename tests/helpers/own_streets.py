"""The data of five classes of docs/own_classes.md, and the configs of the page."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'own_classes.md').read_text(encoding='utf-8')
#: Name and text of each config.
CONFIGS = re.findall(r'`configs/(\w+\.py)`:\n\n```python\n(.*?)```', PAGE, re.DOTALL)


def make_streets(root: Path) -> None:
    """Write images, labels, pairs and configs as the page lays them out, nights with labels.

    Args:
        root: Working directory of the runs.
    """
    generator = np.random.default_rng(0)

    def write(path: Path, high: int, *channels: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), generator.integers(0, high, (144, 160, *channels), np.uint8))

    data = root / 'data/my_streets'
    for light in ('day', 'night'):
        for k in range(3):
            write(data / f'{light}/images/{k}.jpg', 256, 3)
            write(data / f'{light}/labels/{k}.png', 5)
    (data / 'pairs.csv').write_text(''.join(f'night/images/{k},day/images/{k}\n' for k in range(3)))
    (root / 'configs').mkdir()
    (root / 'configs/_base_').symlink_to(ROOT / 'configs/_base_')
    for name, text in CONFIGS:
        (root / 'configs' / name).write_text(text)
