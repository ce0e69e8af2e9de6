"""What MMSegmentation says, whenever it is imported, about parts that nothing here uses."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

#: The fork's ``mmseg.datasets`` prints this line, twice, where the client of a data service is not installed.
NOTICE = 'Could not import OneDL'
#: mmcv warns with these words where it has no compiled operators.
WARNING = 'Fail to import ``MultiScaleDeformableAttention``'


@contextlib.contextmanager
def without_notice() -> Iterator[None]:
    """Leave :data:`NOTICE` and :data:`WARNING` out of what an import says; other lines are printed when it ends."""
    held = io.StringIO()
    try:
        with contextlib.redirect_stdout(held), warnings.catch_warnings():
            warnings.filterwarnings('ignore', WARNING, UserWarning)
            yield
    finally:
        for line in held.getvalue().splitlines(keepends=True):
            if line.strip() != NOTICE:
                print(line, end='')
