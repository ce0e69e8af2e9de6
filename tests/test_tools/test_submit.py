from __future__ import annotations

import re
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from PIL import Image
from tool_project import (
    SIZE,
    TEST_SIZE,
    TEST_STEMS,
    error_of,
    load_tool,
    make_project,
    run_tool,
    save_checkpoint,
)
from torch.nn import functional as F

from mmseg_ccdistill.models.losses import CITYSCAPES_CLASSES

NAMES = [f'{Path(stem).name}_rgb_anon.png' for stem in TEST_STEMS]


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('submit'))


@pytest.fixture
def tool(files: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool in the project's folder; Dark Zurich test has three small images."""
    monkeypatch.chdir(files)
    module = load_tool('tools/submit.py')
    small = replace(
        module.SUBMISSION_SETS['dz-test'],
        num_images=3,
        sequences={'GOPR0364': 2, 'GP010364': 1},
        size=SIZE,
    )
    monkeypatch.setitem(module.SUBMISSION_SETS, 'dz-test', small)
    return module


def read(path: Path, entry: str) -> np.ndarray:
    with zipfile.ZipFile(path) as archive:
        return np.asarray(Image.open(archive.open(entry)))


def logits_at_full_size(files: Path, name: str) -> torch.Tensor:
    """M_n on one image by hand: shrink, normalise, logits, and upsample them in mmseg's two steps."""
    model = MODELS.build(Config.fromfile(str(files / 'tiny.py')).model).eval()
    model.load_state_dict(torch.load(files / 'tiny.pth', weights_only=True)['state_dict'])
    (path,) = (files / 'data/dark_zurich/rgb_anon/test/night').rglob(name)
    image = cv2.resize(cv2.imread(str(path)), TEST_SIZE, interpolation=cv2.INTER_LINEAR)
    rgb = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1).float()
    with torch.no_grad():
        logits = model.night.decode_head(model.night.backbone((rgb[None] - 127.5) / 60))
        for width, height in (TEST_SIZE, SIZE):
            logits = F.interpolate(logits, (height, width), mode='bilinear', align_corners=True)
    return logits[0]


def test_zip_holds_the_night_model_at_full_size(files, tool, monkeypatch, capsys, tmp_path) -> None:
    out = tmp_path / 'night.zip'
    arguments = ['tiny.py', 'tiny.pth', '--set', 'dz-test', '--out', out]

    code = run_tool(tool, monkeypatch, *arguments, '--confidence-threshold', 0.06)

    assert code == 0
    assert '3 images of Dark Zurich test, read back without a fault' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ['night.zip']
    probability = logits_at_full_size(files, NAMES[1]).softmax(0)
    confidence, label = (value.numpy() for value in probability.max(0))
    found = read(out, f'labelTrainIds/{NAMES[1]}')
    assert found.shape == (64, 96) and found.dtype == np.uint8
    # Equal but where two classes tie to the last digits.
    assert np.mean(found == label) > 0.999
    np.testing.assert_allclose(
        read(out, f'confidence/{NAMES[1]}') / 65535, confidence, atol=2 / 65535 + 1e-5
    )
    rejected = read(out, f'labelTrainIds_invalid/{NAMES[1]}') == 255
    clear = np.abs(confidence - 0.06) > 1e-4
    np.testing.assert_array_equal(rejected[clear], (confidence < 0.06)[clear])


def test_an_interrupted_run_goes_on(files, tool, monkeypatch, capsys, tmp_path) -> None:
    out = tmp_path / 'night.zip'
    arguments = ['tiny.py', 'tiny.pth', '--set', 'dz-test', '--out', out]
    whole = tool.predict_files

    def interrupted(model, config, paths, title):
        yield next(whole(model, config, paths, title))
        raise KeyboardInterrupt

    monkeypatch.setattr(tool, 'predict_files', interrupted)
    assert run_tool(tool, monkeypatch, *arguments) == 130
    assert not out.exists()
    seen: list[str] = []

    def watched(model, config, paths, title):
        seen.extend(Path(path).name for path in paths)
        yield from whole(model, config, paths, title)

    monkeypatch.setattr(tool, 'predict_files', watched)
    # Another model must not fill the rest.
    code = run_tool(tool, monkeypatch, 'tiny.py', 'source.pth', *arguments[2:])
    assert code == 2 and 'images of another run (other checkpoint)' in error_of(capsys)

    assert run_tool(tool, monkeypatch, *arguments) == 0
    assert '1 of 3 images are there already' in capsys.readouterr().out
    assert seen == sorted(NAMES)[1:] and out.is_file()

    # Nothing is overwritten, and nothing is predicted to find that out.
    before = out.read_bytes()
    assert run_tool(tool, monkeypatch, *arguments) == 2
    assert "night.zip' exists: remove it or choose another --out" in error_of(capsys)
    assert out.read_bytes() == before and len(seen) == 2


def test_validate_names_every_fault(tool, monkeypatch, capsys, tmp_path) -> None:
    path = tmp_path / 'a.zip'
    picture = cv2.imencode('.png', np.zeros((64, 96), np.uint8))[1].tobytes()
    depth = cv2.imencode('.png', np.zeros((64, 96), np.uint16))[1].tobytes()
    with zipfile.ZipFile(path, 'w') as archive:
        for folder in ('labelTrainIds', 'labelTrainIds_invalid', 'confidence'):
            for name in NAMES:
                archive.writestr(f'{folder}/{name}', depth if folder == 'confidence' else picture)

    arguments = ['--validate', path, '--set', 'dz-test']
    assert run_tool(tool, monkeypatch, *arguments) == 0
    assert 'a sound submission to Dark Zurich test (names by their pattern)' in (
        capsys.readouterr().out
    )
    root = ['--data-root', 'data/dark_zurich']
    assert run_tool(tool, monkeypatch, *arguments, *root) == 0
    assert '(names by the images)' in capsys.readouterr().out

    with zipfile.ZipFile(path, 'a') as archive:
        archive.writestr('notes.txt', 'x')
        archive.writestr(f'confidence/copy_{NAMES[0]}', depth)
    assert run_tool(tool, monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == (
        'notes.txt does not belong into the zip: expected nothing but '
        'labelTrainIds/, labelTrainIds_invalid/, confidence/.'
    )
    assert 'is no sound submission to Dark Zurich test: 3 faults, listed above' in captured.err


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (['tiny.py', '--out', 'a.zip'], 'a submission needs CONFIG, CHECKPOINT and --out'),
        (['tiny.py', 'tiny.pth'], 'a submission needs CONFIG, CHECKPOINT and --out'),
        (['tiny.py', 'tiny.pth', '--validate', 'a.zip'], '--validate checks a zip: leave'),
        (
            ['--validate', 'a.zip', '--confidence-threshold', '7'],
            '--confidence-threshold is for predictions, and --validate makes none: leave it out',
        ),
        (
            ['--validate', 'a.zip', '--cfg-options', 'a=1'],
            '--cfg-options is for predictions, and --validate makes none: leave it out',
        ),
        (['gone.py', 'tiny.pth', '--out', 'a.zip'], "the config file 'gone.py' does not exist"),
        (['tiny.py', 'gone.pth', '--out', 'a.zip'], "CHECKPOINT: .*'gone.pth' does not exist"),
        (['tiny.py', 'tiny.py', '--out', 'a.zip'], 'tiny.py: expected a checkpoint'),
        (['source.py', 'tiny.pth', '--out', 'b.zip'], 'fits nothing in the model'),
        (['tiny.py', 'tiny.pth', '--out', 'a.tar'], 'expected a name that ends in .zip'),
        (
            ['tiny.py', 'tiny.pth', '--out', 'a.zip', '--data-root', 'gone'],
            "the folder 'gone/rgb_anon/test/night' does not exist: expected images of Dark Zurich",
        ),
        (
            ['tiny.py', 'tiny.pth', '--out', 'a.zip', '--confidence-threshold', '1.5'],
            '--confidence-threshold is 1.5: expected 0 to 1',
        ),
        (
            ['tiny.py', 'tiny.pth', '--out', 'a.zip', '--cfg-options',
             'test_dataloader.dataset.pipeline=None'],
            'the config has no test_dataloader.dataset.pipeline',
        ),
    ],
)  # fmt: skip
def test_mistakes_end_in_one_sentence(tool, monkeypatch, capsys, arguments, expected) -> None:
    assert run_tool(tool, monkeypatch, '--set', 'dz-test', *arguments) == 2
    error = error_of(capsys)
    assert '\n' not in error and re.search(expected, error)
    assert not Path('a.zip.parts').exists()


def test_images_of_another_size_are_refused(tool, monkeypatch, capsys) -> None:
    sets = tool.SUBMISSION_SETS
    monkeypatch.setitem(sets, 'dz-test', replace(sets['dz-test'], size=(1920, 1080)))
    arguments = ['tiny.py', 'tiny.pth', '--set', 'dz-test', '--out', 'c.zip']
    assert run_tool(tool, monkeypatch, *arguments) == 2
    assert re.search(r'is 96 x 64 pixels: expected the images .* 1920 x 1080', error_of(capsys))
    assert not Path('c.zip.parts').exists()


@pytest.mark.parametrize('count', [3, 20])
def test_a_model_of_other_classes_is_refused(tool, files, monkeypatch, capsys, count) -> None:
    config = Config.fromfile(str(files / 'tiny.py'))
    config.model.segmentor.decode_head.num_classes = count
    config.model.loss_pseudo = None
    config.dump('other.py')
    model = MODELS.build(Config.fromfile('other.py').model)
    save_checkpoint(Path('other.pth'), model.state_dict())
    arguments = ['other.py', 'other.pth', '--set', 'dz-test', '--out', 'd.zip']
    assert run_tool(tool, monkeypatch, *arguments) == 2
    expected = f"the model of 'other.py' has {count} classes: the server of Dark Zurich test expects the 19"
    assert expected in error_of(capsys)
    assert not Path('d.zip.parts').exists() and not Path('d.zip').exists()


@pytest.mark.parametrize('key', ['dataset_meta', 'CLASSES'])
def test_a_checkpoint_of_classes_in_another_order_is_refused(
    tool, files, monkeypatch, capsys, key
) -> None:
    saved = torch.load(files / 'tiny.pth', weights_only=False)
    turned = ['sidewalk', 'road', *CITYSCAPES_CLASSES[2:]]
    for classes in (turned, list(CITYSCAPES_CLASSES)):
        saved['meta'][key] = {'classes': classes} if key == 'dataset_meta' else classes
        torch.save(saved, 'turned.pth')
        arguments = ['tiny.py', 'turned.pth', '--set', 'dz-test', '--out', f'{key}.zip']
        status = run_tool(tool, monkeypatch, *arguments)
        assert (status == 2) == (classes is turned)
        assert Path(f'{key}.zip').exists() == (classes is not turned)
        if classes is turned:
            sentence = error_of(capsys)
    assert (
        "'turned.pth' was trained with other classes than the server of Dark Zurich test expects: the same names in "
        "another order: class 0 is 'road' in Cityscapes, 'sidewalk' in the checkpoint"
    ) in sentence


@pytest.mark.parametrize('name', ['out.txt/a.zip', 'out.txt/x/a.zip', 'b.zip'])
def test_a_zip_that_cannot_be_written_is_one_sentence_before_the_model_is_built(
    tool, monkeypatch, capsys, name
) -> None:
    for file in ('out.txt', 'b.zip.parts'):
        Path(file).write_text('mine')
    monkeypatch.setattr(tool, 'load_segmentor', None)
    arguments = ['tiny.py', 'tiny.pth', '--set', 'dz-test', '--out', name]
    assert run_tool(tool, monkeypatch, *arguments) == 2
    folder = 'b.zip.parts' if name == 'b.zip' else str(Path(name).parent)
    assert error_of(capsys) == (
        f'nothing can be written into {folder!r} (Not a directory): expected a folder with the right to write; name '
        'another with --out'
    )
    assert Path('b.zip.parts').read_text() == 'mine'
    Path('b.zip.parts').unlink()


def test_an_unknown_set_is_a_usage_error(tool, monkeypatch) -> None:
    monkeypatch.setattr(sys, 'argv', ['submit.py', '--set', 'kitti', '--validate', 'a.zip'])
    with pytest.raises(SystemExit) as raised:
        tool.main()
    assert raised.value.code == 2
