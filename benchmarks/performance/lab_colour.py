"""LAB transfer of a crop against its three colour conversions."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from benchmarks.performance.ratio import compare
from benchmarks.performance.sizes import Sizes
from mmseg_ccdistill.datasets.transforms import lab_transfer


def lab_row(sizes: Sizes) -> dict[str, Any]:
    """LAB transfer over two conversions to LAB and one back, as OpenCV makes them of float32 pixels."""
    side = sizes.logits
    noise = np.random.RandomState(0).randint(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    day, night = (cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC) for image in noise)
    night = (0.3 * night).astype(np.uint8)
    scaled = day.astype(np.float32) / 255
    lab = cv2.cvtColor(scaled, cv2.COLOR_BGR2LAB)

    def conversions() -> None:
        cv2.cvtColor(scaled, cv2.COLOR_BGR2LAB)
        cv2.cvtColor(scaled, cv2.COLOR_BGR2LAB)
        cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)

    both = {'transfer': lambda: lab_transfer(day, night), 'conversions': conversions}
    return compare(both, sizes, base='conversions')
