"""CCDistill: cross-domain correlation distillation for night-time segmentation.

Importing the package registers every component into MMSegmentation's own registries, so a config only needs
``custom_imports = dict(imports=['mmseg_ccdistill'], allow_failed_imports=False)``.
"""

from typing import TYPE_CHECKING, Any

from .installed_stack import check_installed_stack
from .version import __version__

check_installed_stack()  # neither stack is a hard requirement: see the extras

from . import datasets, engine, evaluation, models, runtime  # noqa: E402

if TYPE_CHECKING:
    from .prediction.segmenter import Segmenter

__all__ = ['Segmenter', '__version__', 'datasets', 'engine', 'evaluation', 'models', 'runtime']


def __getattr__(name: str) -> Any:
    """``Segmenter``, which training does not need, is imported when it is asked for."""
    if name == 'Segmenter':
        from .prediction.segmenter import Segmenter

        return Segmenter
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
