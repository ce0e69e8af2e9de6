"""How the rows of a PNG are filtered (PNG specification, section 9.2)."""

from __future__ import annotations

import zlib

import numpy as np

LEFT, UP, PAETH = 1, 2, 4


def row_filters(png: bytes, rows: int) -> np.ndarray:
    """Number of the filter of each row, uint8 ``(rows,)``."""
    place, packed = 8, b''
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], 'big')
        if png[place + 4 : place + 8] == b'IDAT':
            packed += png[place + 8 : place + 8 + length]
        place += 12 + length
    return np.frombuffer(zlib.decompress(packed), np.uint8).reshape(rows, -1)[:, 0]
