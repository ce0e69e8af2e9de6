"""The optional package timm."""

from __future__ import annotations

import pytest

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.backbones.timm_package import import_timm


def is_there() -> bool:
    """Whether timm can be imported, which takes a torchvision for the installed torch."""
    try:
        import_timm('a test')
    except UserInputError:
        return False
    return True


#: Marks a test that builds a network of timm.
needs_timm = pytest.mark.skipif(not is_there(), reason="needs pip install -e '.[timm]'")
