import ast
import gc
import os
import sys
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


def _parse(text: str, **_: Any) -> tuple[str, bool]:
    """Find the mistakes of a config's text, as its formatter would, and leave it as it is."""
    ast.parse(text)
    return text, False


# mmengine formats a config five times for each run: seconds, and of no interest here.
yapf_api.FormatCode = _parse  # before mmengine.config is imported
_frozen_modules = 0


def pytest_runtest_logstart() -> None:
    """Keep what was imported out of garbage collections: mmengine collects for each data set."""
    global _frozen_modules
    if len(sys.modules) > _frozen_modules + 100:
        gc.collect()
        gc.freeze()
        _frozen_modules = len(sys.modules)


def pytest_runtest_teardown() -> None:
    """Take signals back from a run that an error has ended, so that no test depends on those before it."""
    module = sys.modules.get('mmseg_ccdistill.engine.hooks.safe_stop_hook')
    if module is not None:
        module.SafeStopHook.release()


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


@pytest.fixture(scope='session')
def real_cases() -> Path:
    """Small inputs that broke something once: of the variable CCDISTILL_CASES, else beside the checkout."""
    named = os.environ.get('CCDISTILL_CASES')
    folder = Path(named) if named else ROOT.parent / 'shared' / 'data' / 'cases'
    if named and not folder.is_dir():
        pytest.fail(f'CCDISTILL_CASES: {named!r} is no folder')
    if not folder.is_dir():
        pytest.skip('the cases (shared/data/cases beside the checkout) are not there')
    return folder
