import gc
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from yapf.yapflib import yapf_api

from mmseg_ccdistill.installed_stack import installed_stacks

ROOT = Path(__file__).resolve().parents[1]

# The tests' tensors are small: more threads only get in each other's way.
torch.set_num_threads(1)
os.environ.setdefault('OMP_NUM_THREADS', '1')

# A run formats the text of its config five times, at 0.2 seconds each: here once.
_format_code, _formatted = yapf_api.FormatCode, dict[str, Any]()


def _format_once(text: str, **options: Any) -> Any:
    key = f'{options}{text}'
    if key not in _formatted:
        _formatted[key] = _format_code(text, **options)
    return _formatted[key]


yapf_api.FormatCode = _format_once  # before mmengine.config is imported


def pytest_collection_finish() -> None:
    """Keep what was imported out of garbage collections: mmengine collects for each data set."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    """The versions that the suite runs on."""
    versions = {name: v for found in installed_stacks().values() for name, v in found.items()}
    versions.update(torch=torch.__version__, numpy=np.__version__, opencv=cv2.__version__)
    return 'stack: ' + ', '.join(f'{name} {version}' for name, version in versions.items())


@pytest.fixture(scope='session')
def repository_root() -> Path:
    return ROOT


@pytest.fixture(scope='session')
def real_data() -> Path:
    """Real driving frames in Cityscapes and Dark Zurich layout, if they lie beside the checkout."""
    folder = ROOT.parent / 'shared' / 'data' / 'real'
    if not (folder / 'cityscapes').is_dir():
        pytest.skip('the real images (shared/data/real beside the checkout) are not there')
    return folder
