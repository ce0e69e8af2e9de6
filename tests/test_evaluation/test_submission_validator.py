from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from submission_zip import FOLDERS, NAMES, SMALL, Files, labels, pack, png, sound

from mmseg_ccdistill.evaluation.submission import (
    SUBMISSION_SETS,
)
from mmseg_ccdistill.evaluation.submission_validator import submission_faults


def test_a_sound_submission_has_no_fault(tmp_path) -> None:
    path = pack(tmp_path / 'a.zip', sound())
    assert submission_faults(path, SMALL) == []
    assert submission_faults(path, SMALL, NAMES) == []


def test_folder_entries_are_no_fault(tmp_path) -> None:
    path = pack(tmp_path / 'a.zip', sound())
    with zipfile.ZipFile(path, 'a') as archive:
        for folder in FOLDERS:
            archive.writestr(f'{folder}/', b'')
    assert submission_faults(path, SMALL) == []


def _wrap(files: Files) -> Files:
    return {f'results/{name}': content for name, content in files.items()}


def _rename(old: str, new: str) -> Callable[[Files], Files]:
    return lambda files: {name.replace(old, new): content for name, content in files.items()}


def _drop(text: str) -> Callable[[Files], Files]:
    return lambda files: {name: content for name, content in files.items() if text not in name}


def _put(name: str, content: bytes) -> Callable[[Files], Files]:
    return lambda files: {**files, name: content}


def _bit_depth(array: np.ndarray, bits: int) -> bytes:
    """A grey PNG of one row per byte row with another bit depth, made by hand."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', check)

    header = struct.pack('>IIBBBBB', array.shape[1], array.shape[0], bits, 0, 0, 0, 0)
    rows = b''.join(b'\0' + bytes(array.shape[1] * bits // 8) for _ in range(array.shape[0]))
    body = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
    return b'\x89PNG\r\n\x1a\n' + body


A, B = NAMES[0], NAMES[2]
UPSAMPLE = 'expected 8 x 6; upsample the logits before the argmax.'
ALL_FOLDERS = 'labelTrainIds/, labelTrainIds_invalid/, confidence/'

BROKEN: list[tuple[str, Callable[[Files], Files], list[str]]] = [
    (
        'wrapper folder',
        _wrap,
        [
            f'Everything lies in the folder results/: expected {ALL_FOLDERS} at the top level; '
            'zip the folders themselves, not what holds them.'
        ],
    ),
    (
        'missing folder',
        _drop('confidence/'),
        ['The folder confidence/ is missing or empty: expected 3 PNG files.'],
    ),
    (
        'misspelt folder',
        _rename('labelTrainIds_invalid/', 'labelTrainIds_Invalid/'),
        [
            'The folder labelTrainIds_Invalid/ (3 files) does not belong into the zip: '
            f'expected nothing but {ALL_FOLDERS}.',
            'The folder labelTrainIds_invalid/ is missing or empty: expected 3 PNG files.',
        ],
    ),
    (
        'stray file',
        _put('.DS_Store', b'x'),
        [f'.DS_Store does not belong into the zip: expected nothing but {ALL_FOLDERS}.'],
    ),
    (
        'file too deep',
        _put(f'confidence/night/{A}', png(np.zeros((6, 8), np.uint16))),
        [f'confidence/night/{A} lies too deep: expected files directly in confidence/.'],
    ),
    (
        'image missing',
        _drop(f'labelTrainIds/{B}'),
        [
            'labelTrainIds/ holds 2 files: expected 3.',
            'labelTrainIds/ holds 0 files of sequence B: expected 1.',
        ],
    ),
    (
        'wrong name',
        _rename(f'labelTrainIds/{B}', 'labelTrainIds/B_frame_000003.png'),
        [
            'labelTrainIds/B_frame_000003.png has an unexpected name: '
            r'expected (A|B)_frame_\d{6}_rgb_anon\.png.',
            'labelTrainIds/ holds 0 files of sequence B: expected 1.',
        ],
    ),
    (
        'network size',
        _put(f'labelTrainIds/{A}', png(labels()[::2, ::2])),
        [f'labelTrainIds/{A} is 4 x 3 pixels: {UPSAMPLE}'],
    ),
    (
        'palette',
        _put(f'labelTrainIds/{A}', png(labels(), 'P')),
        [
            f'labelTrainIds/{A} is a PNG of 8-bit palette: '
            'expected 8-bit grey, uint8 in one channel.'
        ],
    ),
    (
        'colours',
        _put(f'labelTrainIds/{A}', png(labels(), 'RGB')),
        [f'labelTrainIds/{A} is a PNG of 8-bit RGB: expected 8-bit grey, uint8 in one channel.'],
    ),
    (
        '16-bit labels',
        _put(f'labelTrainIds/{A}', png(labels().astype(np.uint16))),
        [f'labelTrainIds/{A} is a PNG of 16-bit grey: expected 8-bit grey, uint8 in one channel.'],
    ),
    (
        '8-bit confidence',
        _put(f'confidence/{A}', png(np.full((6, 8), 255, np.uint8))),
        [f'confidence/{A} is a PNG of 8-bit grey: expected 16-bit grey, uint16 in one channel.'],
    ),
    (
        'packed bits',
        _put(f'labelTrainIds/{A}', _bit_depth(labels(), 4)),
        [f'labelTrainIds/{A} is a PNG of 4-bit grey: expected 8-bit grey, uint8 in one channel.'],
    ),
    (
        'rejected pixel in the labels',
        _put(f'labelTrainIds/{A}', png(labels(255))),
        [
            f'labelTrainIds/{A} holds the values 255: expected train ids 0 to 18 '
            '(a pixel is rejected in labelTrainIds_invalid only).'
        ],
    ),
    (
        'label ids',
        _put(f'labelTrainIds/{A}', png(np.where(labels() == 18, 33, labels()).astype(np.uint8))),
        [
            f'labelTrainIds/{A} holds the values 33: expected train ids 0 to 18.',
            f'labelTrainIds_invalid/{A} has another class than labelTrainIds/{A} at 2 pixels: '
            'expected the same class or 255.',
        ],
    ),
    (
        'unknown value among the rejected',
        _put(f'labelTrainIds_invalid/{A}', png(labels(254))),
        [
            f'labelTrainIds_invalid/{A} holds the values 254: '
            'expected train ids 0 to 18 and 255 for rejected pixels.',
            f'labelTrainIds_invalid/{A} has another class than labelTrainIds/{A} at 1 pixels: '
            'expected the same class or 255.',
        ],
    ),
    (
        'another image',
        _put(f'confidence/{A}', b'\xff\xd8\xff\xe0 a JPEG'),
        [f'confidence/{A} is no PNG file: expected 16-bit grey PNG.'],
    ),
    (
        'pixels cut off',
        lambda files: {**files, f'confidence/{A}': files[f'confidence/{A}'][:60]},
        [f'confidence/{A} is a broken PNG (*): write it again.'],
    ),
    ('empty', lambda files: {}, [f'The folder {f}/ is missing or empty: expected 3 PNG files.'
                                 for f in FOLDERS]),
]  # fmt: skip


@pytest.mark.parametrize(
    ('change', 'expected'), [pytest.param(c, e, id=name) for name, c, e in BROKEN]
)
def test_every_fault_is_a_sentence(tmp_path, change, expected) -> None:
    path = pack(tmp_path / 'a.zip', change(sound()))

    found = submission_faults(path, SMALL)

    found = [re.sub(r'broken PNG \(.+\)', 'broken PNG (*)', fault) for fault in found]
    assert found == expected


def test_names_are_checked_against_the_images(tmp_path) -> None:
    other = 'A_frame_000009_rgb_anon.png'  # fits the pattern and the numbers of each sequence
    path = pack(tmp_path / 'a.zip', _rename(NAMES[1], other)(sound()))

    assert submission_faults(path, SMALL) == []
    found = submission_faults(path, SMALL, NAMES)

    assert found == [
        fault
        for folder in FOLDERS
        for fault in (
            f'{folder}/{NAMES[1]} is missing: expected one file for every test image.',
            f'{folder}/{other} has the name of no test image: expected e.g. {NAMES[0]}.',
        )
    ]


def test_a_file_that_is_there_twice_is_a_fault(tmp_path) -> None:
    path = pack(tmp_path / 'a.zip', sound())
    with (
        zipfile.ZipFile(path, 'a') as archive,
        pytest.warns(UserWarning, match='Duplicate name'),
    ):
        archive.writestr(f'confidence/{A}', b'again')
    assert f'confidence/{A} is in the zip 2 times: expected one.' in submission_faults(path, SMALL)


def test_damage_is_named(tmp_path) -> None:
    path = tmp_path / 'a.zip'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
        for name, content in sound().items():
            archive.writestr(name, content)
        offset = archive.getinfo(f'confidence/{A}').header_offset
    content = bytearray(path.read_bytes())
    content[offset + 30 + len(f'confidence/{A}') + 40] ^= 0xFF  # one byte of the PNG
    path.write_bytes(content)

    (found,) = submission_faults(path, SMALL)

    assert re.fullmatch(
        rf'confidence/{A} is damaged \(Bad CRC-32 .+\): pack the zip again\.', found
    )


def test_what_is_no_zip_is_named(tmp_path) -> None:
    path = tmp_path / 'a.zip'
    assert submission_faults(path, SMALL) == [
        f'The file {str(path)!r} does not exist: expected a zip.'
    ]
    pack(path, sound())
    path.write_bytes(path.read_bytes()[:-40])  # the directory at the end is cut off
    (found,) = submission_faults(path, SMALL)
    assert found == (
        f'The file {str(path)!r} is no whole zip (File is not a zip file): pack it again.'
    )


def test_an_encrypted_entry_is_named(tmp_path) -> None:
    path = pack(tmp_path / 'a.zip', sound())
    content = bytearray(path.read_bytes())
    entry = content.rfind(f'confidence/{A}'.encode())  # in the directory at the end
    content[entry - 46 + 8] |= 1
    path.write_bytes(content)
    (found,) = submission_faults(path, SMALL)
    assert found == f'confidence/{A} is encrypted: pack the zip without a password.'


@pytest.mark.slow
def test_the_true_sizes_of_dark_zurich(tmp_path) -> None:
    target = SUBMISSION_SETS['dz-test']
    label = png(np.full((1080, 1920), 5, np.uint8))
    confidence = png(np.full((1080, 1920), 65535, np.uint16))
    names = [f'GOPR0364_frame_{i:06d}_rgb_anon.png' for i in range(105)]
    names += [f'GP010364_frame_{i:06d}_rgb_anon.png' for i in range(46)]
    files = {
        f'{folder}/{name}': confidence if folder == 'confidence' else label
        for folder in FOLDERS
        for name in names
    }
    assert submission_faults(pack(tmp_path / 'a.zip', files), target) == []
    night = replace(target, sequences={'GOPR0364': 106, 'GP010364': 45})
    assert len(submission_faults(tmp_path / 'a.zip', night)) == 6
