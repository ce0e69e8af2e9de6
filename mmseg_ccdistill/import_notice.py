"""The notice of an optional client that MMSegmentation prints whenever it is imported."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

#: The fork's ``mmseg.datasets`` prints this line, twice, where the client of a data service is not installed.
NOTICE = 'Could not import OneDL'


@contextlib.contextmanager
def without_notice() -> Iterator[None]:
    """Leave :data:`NOTICE` out of what an import prints; everything else is printed when it ends."""
    held = io.StringIO()
    try:
        with contextlib.redirect_stdout(held):
            yield
    finally:
        for line in held.getvalue().splitlines(keepends=True):
            if line.strip() != NOTICE:
                print(line, end='')
