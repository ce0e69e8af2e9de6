"""What the ratios were measured on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.gpu.environment import versions
from benchmarks.performance.sizes import Sizes
from benchmarks.repository import code_state

_CPUINFO = Path('/proc/cpuinfo')


def environment(sizes: Sizes) -> dict[str, Any]:
    """Processor, versions, commit, and how busy the machine was in the last five minutes."""
    found = versions()
    if _CPUINFO.exists():
        named = [
            line.partition(':')[2].strip()
            for line in _CPUINFO.read_text().splitlines()
            if line.startswith('model name')
        ]
        found['device'] = (named or [found['device']])[0]
    found.update(opencv=cv2.__version__, numpy=np.__version__, load=os.getloadavg()[1])
    return {**found, **code_state()}
