"""CCDistill: cross-domain correlation distillation for night-time segmentation.

Importing the package registers every component into MMSegmentation's own registries, so a config only needs
``custom_imports = dict(imports=['mmseg_ccdistill'], allow_failed_imports=False)``.
"""

from .version import __version__

try:
    import mmseg as _mmseg  # noqa: F401
except ImportError as error:  # neither stack is a hard requirement: see the extras
    raise ImportError(
        'mmseg_ccdistill needs MMSegmentation 1.x: install one stack, '
        "`pip install 'mmseg-ccdistill[onedl]'` (current torch) or "
        "`pip install 'mmseg-ccdistill[openmmlab]'` (upstream), not both."
    ) from error

from . import datasets, engine, models  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'models']
