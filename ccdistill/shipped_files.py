"""Configs and tools that ship with the package: from a checkout, or from ``.mim`` inside an installed wheel.

Both have the same folders below their root: ``configs``, ``tools``, ``benchmarks``, ``model-index.yml``.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
from pathlib import Path

#: What ``setup.py`` copies into the wheel; the name is OpenMIM's.
MIM_FOLDER = '.mim'


@functools.cache
def shipped_root() -> Path:
    """The folder that holds ``configs`` and ``tools``.

    Raises:
        FileNotFoundError: If neither a checkout nor an installed ``.mim`` is found.
    """
    spec = importlib.util.find_spec('mmseg_ccdistill')  # found, not imported
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    places.append(Path(__file__).resolve().parents[1] / 'mmseg_ccdistill')
    for package in places:
        for root in (package / MIM_FOLDER, package.parent):
            if (root / 'model-index.yml').is_file() and (root / 'configs').is_dir():
                return root.resolve()
    raise FileNotFoundError(
        'the configs and tools of mmseg-ccdistill are not where they were installed: install the package again'
    )


def config_names() -> list[str]:
    """Names of all shipped configs, ``<folder>/<file without ending>``, sorted; what others build on is left out."""
    root = shipped_root() / 'configs'
    files = (path.relative_to(root).with_suffix('') for path in root.rglob('*.py'))
    return sorted(str(path) for path in files if path.parts[0] != '_base_')


def find_config(name: str) -> Path | None:
    """The file of a config that is named without path and ending.

    Args:
        name: A name as in :func:`config_names`; ``configs/`` before it and ``.py`` behind it are allowed.

    Returns:
        The file; None if no config of that name ships.
    """
    short = name.removeprefix('configs/').removesuffix('.py')
    if short not in config_names():
        return None
    return shipped_root() / 'configs' / f'{short}.py'


def nearest_config(name: str) -> str | None:
    """The name of the shipped config that is most like ``name``; None if none is."""
    short = name.removeprefix('configs/').removesuffix('.py')
    found = difflib.get_close_matches(short, config_names(), n=1, cutoff=0.6)
    return found[0] if found else None
