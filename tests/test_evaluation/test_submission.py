from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmseg_ccdistill.evaluation.submission import (
    SUBMISSION_SETS,
    SubmissionParts,
    SubmissionSet,
    list_images,
    prediction_images,
)
from mmseg_ccdistill.evaluation.submission_validator import submission_faults

FOLDERS = ('labelTrainIds', 'labelTrainIds_invalid', 'confidence')
SMALL = SubmissionSet(
    title='three frames',
    image_folders=('rgb_anon/test/night',),
    num_images=3,
    folders=FOLDERS,
    name_pattern=r'(A|B)_frame_\d{6}_rgb_anon\.png',
    sequences={'A': 2, 'B': 1},
    size=(8, 6),
)
NAMES = [f'{s}_rgb_anon.png' for s in ('A_frame_000001', 'A_frame_000002', 'B_frame_000003')]

Files = dict[str, bytes]


def png(array: np.ndarray, mode: str | None = None) -> bytes:
    """A PNG as Pillow writes it: not the encoder of the package."""
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(buffer, 'PNG')
    return buffer.getvalue()


def labels(value: int = 0) -> np.ndarray:
    image = np.arange(48, dtype=np.uint8).reshape(6, 8) % 19
    image[0, 0] = value
    return image


def sound() -> Files:
    files = {}
    for name in NAMES:
        files[f'labelTrainIds/{name}'] = png(labels())
        files[f'labelTrainIds_invalid/{name}'] = png(labels(255))
        files[f'confidence/{name}'] = png(np.full((6, 8), 40000, dtype=np.uint16))
    return files


def pack(path: Path, files: Files) -> Path:
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_facts_of_the_servers() -> None:
    zurich, night, every = (
        SUBMISSION_SETS[name] for name in ('dz-test', 'acdc-night-test', 'acdc-test')
    )
    assert (zurich.num_images, night.num_images, every.num_images) == (151, 500, 2000)
    assert zurich.folders == FOLDERS
    assert night.folders == every.folders == ('labelTrainIds',)
    assert zurich.image_folders == ('rgb_anon/test/night',)
    assert night.image_folders == ('rgb_anon/night/test',)
    assert every.image_folders == tuple(
        f'rgb_anon/{c}/test' for c in ('fog', 'night', 'rain', 'snow')
    )
    assert sum(zurich.sequences.values()) == 151
    assert {zurich.size, night.size, every.size} == {(1920, 1080)}
    for name in ('GOPR0364_frame_000001_rgb_anon.png', 'GP010364_frame_000443_rgb_anon.png'):
        assert re.fullmatch(zurich.name_pattern, name) and re.fullmatch(every.name_pattern, name)
    assert not re.fullmatch(zurich.name_pattern, 'GOPR0356_frame_000321_rgb_anon.png')
    assert not re.fullmatch(zurich.name_pattern, 'GOPR0364_frame_000001_ref_rgb_anon.png')


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


def test_predictions_have_the_encodings_of_the_server() -> None:
    # Two classes at (1 - p, p): the larger probability is 0.75, 0.5 and 0.9999.
    p = torch.tensor([[0.75, 0.5, 0.0001]], dtype=torch.float64)
    logits = torch.stack([(1 - p).log(), p.log()]).float() + 100  # softmax ignores the offset

    images = prediction_images(logits, confidence_threshold=0.7)

    assert {name: image.dtype for name, image in images.items()} == {
        'labelTrainIds': np.uint8, 'labelTrainIds_invalid': np.uint8, 'confidence': np.uint16,
    }  # fmt: skip
    assert images['labelTrainIds'].tolist() == [[1, 0, 0]]
    assert images['labelTrainIds_invalid'].tolist() == [[1, 255, 0]]
    # 0.75, 0.5 and 0.9999 times 65535; float32 logits near 100 are good to 1e-5.
    np.testing.assert_allclose(images['confidence'][0], [49151, 32768, 65528], atol=2)


def test_nothing_is_rejected_by_default_and_certainty_is_65535() -> None:
    logits = torch.full((19, 2, 2), -1e4)
    logits[7] = 0.0
    images = prediction_images(logits)
    np.testing.assert_array_equal(images['labelTrainIds'], 7)
    np.testing.assert_array_equal(images['labelTrainIds_invalid'], 7)
    np.testing.assert_array_equal(images['confidence'], 65535)
    uniform = prediction_images(torch.zeros(19, 1, 1), confidence_threshold=1.0)
    assert uniform['confidence'].item() == round(65535 / 19)
    assert uniform['labelTrainIds_invalid'].item() == 255


@pytest.fixture
def images(tmp_path) -> list[Path]:
    """The three test images; only their names matter here."""
    paths = [tmp_path / 'set/rgb_anon/test/night' / name[0] / name for name in NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return paths


def test_images_are_listed_by_name(tmp_path, images) -> None:
    assert list_images(tmp_path / 'set', SMALL) == images


def test_images_that_are_missing_or_too_many_are_named(tmp_path, images) -> None:
    with pytest.raises(ValueError, match="folder '.*gone/rgb_anon/test/night' does not exist"):
        list_images(tmp_path / 'gone', SMALL)
    images[1].unlink()
    with pytest.raises(ValueError, match='2 images end in .*: expected the 3 of three frames'):
        list_images(tmp_path / 'set', SMALL)
    images[1].touch()
    (tmp_path / 'elsewhere').mkdir()
    linked = images[1].parent.rename(tmp_path / 'elsewhere' / 'moved')
    images[1].parent.symlink_to(linked)
    assert list_images(tmp_path / 'set', SMALL) == images  # links are followed
    copy = images[2].parent / 'copy' / images[2].name
    copy.parent.mkdir()
    copy.touch()
    with pytest.raises(ValueError, match='have one name'):
        list_images(tmp_path / 'set', SMALL)


def _logits(value: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.full((6, 8), value), 19).permute(2, 0, 1) * 8.0


def test_parts_go_on_and_become_a_sound_zip(tmp_path, images) -> None:
    out = tmp_path / 'new/night.zip'
    parts = SubmissionParts(out, SMALL, {'seed': 1})
    assert parts.missing(images) == images
    parts.write(NAMES[0], _logits(3), 0.0)
    (parts.folder / 'confidence' / f'{NAMES[1]}.unfinished').write_bytes(b'half')

    parts = SubmissionParts(out, SMALL, {'seed': 1})  # a new process
    assert parts.missing(images) == images[1:]
    for name in NAMES[1:]:
        parts.write(name, _logits(4), 0.0)
    packed = parts.pack(NAMES)
    assert not out.exists()
    assert submission_faults(packed, SMALL, NAMES) == []
    first = packed.read_bytes()
    assert parts.pack(NAMES).read_bytes() == first  # no clock in it
    parts.publish(packed)

    assert out.read_bytes() == first and not parts.folder.exists()
    with zipfile.ZipFile(out) as archive:
        assert sorted(archive.namelist()) == sorted(f'{f}/{n}' for f in FOLDERS for n in NAMES)
        label = np.asarray(Image.open(archive.open(f'labelTrainIds/{NAMES[0]}')))
    np.testing.assert_array_equal(label, 3)


def test_nothing_is_overwritten_or_mixed(tmp_path) -> None:
    out = tmp_path / 'night.zip'
    parts = SubmissionParts(out, SMALL, {'checkpoint': ['a.pth', 1], 'threshold': 0.5})
    assert not parts.folder.exists()  # as long as nothing was predicted
    parts.write(NAMES[0], _logits(0), 0.0)
    with pytest.raises(ValueError, match=r'another run \(other threshold\): expected to go on'):
        SubmissionParts(out, SMALL, {'checkpoint': ['a.pth', 1], 'threshold': 0.4})
    assert json.loads((parts.folder / 'run.json').read_text())['threshold'] == 0.5
    (tmp_path / 'mine.zip.parts').mkdir()
    (tmp_path / 'mine.zip.parts/letter.txt').touch()
    with pytest.raises(ValueError, match='no folder of a submission'):
        SubmissionParts(tmp_path / 'mine.zip', SMALL, {})
    with pytest.raises(ValueError, match='ends in .zip'):
        SubmissionParts(tmp_path / 'night', SMALL, {})
    for name in NAMES:
        parts.write(name, _logits(0), 0.0)
    packed = parts.pack(NAMES)
    out.write_text('mine')  # appeared while the run went on
    with pytest.raises(ValueError, match="night.zip' exists"):
        parts.publish(packed)
    with pytest.raises(ValueError, match="night.zip' exists"):
        SubmissionParts(out, SMALL, {})
    assert out.read_text() == 'mine' and packed.is_file()


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
