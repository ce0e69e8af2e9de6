"""Whether a video file is shorter than it says: the size of its parts stands in front of them.

The number of frames alone does not tell: whole files announce more than they hold where the sound is longer, where
frames are spared because nothing moves, or where an editor has hidden the beginning.
"""

from __future__ import annotations

import os
from typing import BinaryIO

#: Parts of an MP4 or a MOV that hold frames or their index (ISO/IEC 14496-12); anything may follow the last one.
_MP4_PARTS = (b'ftyp', b'moov', b'mdat', b'moof', b'free', b'skip', b'wide', b'styp', b'sidx')
#: Of Matroska and WebM (RFC 8794, RFC 9559): the header of the file, and the segment that holds all the rest.
_EBML, _SEGMENT = b'\x1a\x45\xdf\xa3', b'\x18\x53\x80\x67'


def is_cut_off(path: str | os.PathLike[str]) -> bool:
    """Whether an AVI, MP4, MOV, MKV or WebM lacks bytes at its end; False where no size is told."""
    size = os.path.getsize(path)
    with open(path, 'rb') as file:
        start = file.read(8)
        measure = _end_of_riff if start[:4] == b'RIFF' else _end_of_mp4_part
        if start[:4] == _EBML:
            measure = _end_of_matroska_part
        end: int | None = 0
        while end is not None and end < size:
            file.seek(end)
            end = measure(file)
    return end is not None and end > size


def _end_of_riff(file: BinaryIO) -> int | None:
    """End of the chunk that begins here; None if it tells none. An AVI above 1 GB has several."""
    head, begin = file.read(8), file.tell()
    length = int.from_bytes(head[4:], 'little')
    if head[:4] != b'RIFF' or length in (0, 2**32 - 1):  # a writer that could not go back
        return None
    return begin + length


def _end_of_mp4_part(file: BinaryIO) -> int | None:
    begin = file.tell()
    head = file.read(16)
    length = int.from_bytes(head[:4], 'big')
    if length == 1:
        length = int.from_bytes(head[8:], 'big')
    return begin + length if head[4:8] in _MP4_PARTS and length >= 8 else None


def _end_of_matroska_part(file: BinaryIO) -> int | None:
    head = file.read(12)
    if head[:4] not in (_EBML, _SEGMENT) or not head[4:5]:
        return None
    width = 9 - head[4].bit_length()  # the zeros before the first one tell it
    limit = 1 << 7 * width
    length = int.from_bytes(head[4 : 4 + width], 'big') % limit
    begin = file.tell() - len(head) + 4 + width
    return None if length == limit - 1 else begin + length  # all ones: a live recording
