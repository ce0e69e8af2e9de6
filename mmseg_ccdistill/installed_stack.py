"""The installed MMSegmentation stack: the maintained fork or upstream, one import name for both."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from .import_notice import without_notice

#: Upstream's distributions; the fork's have the same names after ``onedl-``.
DISTRIBUTIONS = ('mmengine', 'mmcv', 'mmsegmentation')

_CHOICE = (
    "`pip install 'mmseg-ccdistill[onedl]'` (current torch) or "
    "`pip install 'mmseg-ccdistill[openmmlab]'` (upstream, as docs/stacks.md says), not both"
)


def installed_stacks() -> dict[str, dict[str, str]]:
    """Versions of the installed distributions of each stack, by the name of its extra.

    Example:
        ``{'onedl': {}, 'openmmlab': {'mmengine': '0.10.7', 'mmcv': '2.1.0', 'mmsegmentation': '1.2.2'}}``
    """
    return {
        'onedl': _versions(f'onedl-{name}' for name in DISTRIBUTIONS),
        'openmmlab': _versions(DISTRIBUTIONS),
    }


def check_installed_stack() -> None:
    """Import MMSegmentation, or say what is missing or in the way.

    Raises:
        ImportError: MMSegmentation is missing, distributions of both stacks are installed, or mmcv lacks the compiled
            operators that upstream's mmseg imports.
    """
    stacks = installed_stacks()
    if all(stacks.values()):
        installed = stacks['onedl'] | stacks['openmmlab']
        raise ImportError(
            'Two MMSegmentation stacks are installed, and each has overwritten files of the other: '
            f'`pip uninstall {" ".join(installed)}`, then install one, {_CHOICE}.'
        )
    try:
        with without_notice():
            import_module('mmseg.models')
            import_module('mmseg.datasets')
    except ModuleNotFoundError as error:
        if error.name == 'mmcv._ext':
            raise ImportError(
                'Upstream MMSegmentation needs the compiled operators of mmcv 2.1.0, and the installed mmcv has none: '
                '`pip uninstall mmcv mmcv-lite`, then build it beside torch 2.1.2, '
                '`pip install --no-cache-dir --no-build-isolation mmcv==2.1.0`.'
            ) from error
        if str(error.name).partition('.')[0] not in {'torch', 'mmengine', 'mmcv', 'mmseg'}:
            raise
        raise ImportError(
            f'mmseg_ccdistill needs MMSegmentation 1.x: install one stack, {_CHOICE}.'
        ) from error


def _versions(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
