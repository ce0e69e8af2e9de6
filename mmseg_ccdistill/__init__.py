"""CCDistill: cross-domain correlation distillation for night-time segmentation.

Importing the package registers every component into MMSegmentation's own registries, so a config only needs
``custom_imports = dict(imports=['mmseg_ccdistill'], allow_failed_imports=False)``.
"""

from .installed_stack import check_installed_stack
from .version import __version__

check_installed_stack()  # neither stack is a hard requirement: see the extras

from . import datasets, engine, evaluation, models, runtime  # noqa: E402

__all__ = ['__version__', 'datasets', 'engine', 'evaluation', 'models', 'runtime']
