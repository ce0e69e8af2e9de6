from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from submission_zip import FOLDERS, NAMES, SMALL

from mmseg_ccdistill.evaluation.submission import (
    SUBMISSION_SETS,
    SubmissionParts,
    list_images,
    prediction_images,
)
from mmseg_ccdistill.evaluation.submission_validator import submission_faults


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
