"""Formats for deployment: written, run by their own runtime, and refused if the labels differ."""

from __future__ import annotations

import errno
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from adaptation_run import REFINENET, SEGFORMER, build, run_config, save
from mmengine.config import Config
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import TRANSFORMS

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.export import deployment, deployment_formats
from mmseg_ccdistill.export.branch_export import (
    ExportMismatchError,
    export_files,
    load_plain,
    predict_image,
)
from mmseg_ccdistill.export.deployed_network import DeployedNetwork
from mmseg_ccdistill.export.deployment import Deployed, deploy, image_size, read_frames
from mmseg_ccdistill.export.deployment_formats import FORMATS, check_installed
from mmseg_ccdistill.models.composed_resize import label_map
from mmseg_ccdistill.runtime.command_line import run_main

SIZE = (64, 96)


def needs(name: str) -> None:
    for package in FORMATS[name].packages:
        pytest.importorskip(package, reason=f'extra {FORMATS[name].extra}: {package}')


@pytest.fixture(scope='module')
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Exported pairs of two architectures."""
    found = {}
    for name, segmentor in (('refinenet', REFINENET), ('segformer', SEGFORMER)):
        folder = tmp_path_factory.mktemp(name)
        config = run_config(segmentor)
        save(build(config), folder / 'iter_2.pth')
        report = export_files(config, folder / 'iter_2.pth', folder / 'night')
        found[name] = report.checkpoint, report.config
    return found


@pytest.fixture
def segmentor(pairs: dict[str, tuple[Path, Path]]) -> EncoderDecoder:
    return load_plain(*pairs['refinenet'])


def test_the_network_takes_the_pixels_of_the_file(segmentor: EncoderDecoder) -> None:
    """Logits of the pixels, and labels of the whole test path."""
    image = torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8)
    network = DeployedNetwork(segmentor)
    with torch.no_grad():
        logits = network(image[None].float())
    labels = label_map(logits[0], SIZE, (128, 192), segmentor.align_corners)
    expected = predict_image(segmentor, image, (128, 192)).pred_sem_seg.data[0]
    assert (labels == expected).float().mean() >= 0.9999
    assert logits.shape[2:] < torch.Size(SIZE)


@pytest.mark.parametrize('dynamic', [False, True], ids=['static', 'dynamic'])
@pytest.mark.parametrize('architecture', ['refinenet', 'segformer'])
@pytest.mark.parametrize('name', list(FORMATS))
def test_labels_are_those_of_torch(
    name: str, architecture: str, dynamic: bool, pairs: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    needs(name)
    segmentor = load_plain(*pairs[architecture])
    if (name, architecture, dynamic) == ('onnx', 'segformer', True):
        # torch's tracing exporter writes the sizes of its attention as constants
        with pytest.raises(ExportMismatchError, match='onnx cannot express this network .*dynamic'):
            deploy(segmentor, name, tmp_path / 'night', SIZE, dynamic)
        assert list(tmp_path.iterdir()) == []
        return
    done = deploy(segmentor, name, tmp_path / 'night', SIZE, dynamic)
    assert done.agreement >= 0.9999 and done.frames == (4 if dynamic else 2)
    assert sorted(tmp_path.iterdir()) == sorted(done.files)
    assert [file.suffix for file in done.files] == list(FORMATS[name].suffixes)
    predict = FORMATS[name].load(done.files[0], 1)
    network = DeployedNetwork(load_plain(*pairs[architecture]))
    for size in (SIZE, (96, 64)) if dynamic else (SIZE,):
        pixels = torch.rand(1, 3, *size) * 255
        with torch.no_grad():
            expected = network(pixels)
        torch.testing.assert_close(predict(pixels), expected, rtol=1e-3, atol=1e-4)


def test_other_labels_are_refused(
    segmentor: EncoderDecoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FORMATS['torchscript']
    wrong = deployment_formats.Format(
        whole.suffixes, (), '', whole.write, lambda path, threads: lambda x: -whole.load(path, 0)(x)
    )
    monkeypatch.setitem(deployment.FORMATS, 'torchscript', wrong)
    with pytest.raises(ExportMismatchError, match=r'gives the labels of torch for 0\.\d+ of the'):
        deploy(segmentor, 'torchscript', tmp_path / 'night', SIZE)
    assert list(tmp_path.iterdir()) == []


def test_what_an_exporter_cannot_express_is_one_sentence(
    segmentor: EncoderDecoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(network: Any, pixels: Any, path: Path, dynamic: bool) -> None:
        path.write_text('half')
        raise RuntimeError('no operator for this\nand a long trace')

    whole = FORMATS['torchscript']
    broken = deployment_formats.Format(whole.suffixes, (), '', fail, whole.load)
    monkeypatch.setitem(deployment.FORMATS, 'torchscript', broken)
    with pytest.raises(ExportMismatchError) as error:
        deploy(segmentor, 'torchscript', tmp_path / 'night', SIZE, dynamic=True)
    assert str(error.value) == (
        'torchscript cannot express this network (no operator for this): leave out --dynamic, or '
        'take another format'
    )
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_the_network_cannot_take(segmentor: EncoderDecoder, tmp_path: Path) -> None:
    def refuse(pixels: Any) -> Any:
        raise RuntimeError('Kernel size cannot be greater than actual input size')

    segmentor.extract_feat = refuse
    with pytest.raises(
        UserInputError,
        match='cannot take an image of 3 x 3 .Kernel size.*: give another --size H W',
    ):
        deploy(segmentor, 'torchscript', tmp_path / 'night', (3, 3))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ('padding', 'dynamic', 'expected'),
    [
        (dict(size_divisor=32), False, 'pads an image of 60 x 90 to 64 x 96, .*: give --size 64 96$'),
        (dict(size=(80, 90)), False, 'pads an image of 60 x 90 to 80 x 90, .*: give --size 80 90$'),
        (dict(size_divisor=32), True, 'pads an image of 1 x 1 to 32 x 32, .*: leave out --dynamic$'),
    ],
    ids=['divisor', 'size', 'dynamic'],
)  # fmt: skip
def test_an_image_that_the_test_pads_is_refused(
    segmentor: EncoderDecoder, tmp_path: Path, padding: dict, dynamic: bool, expected: str
) -> None:
    """The file sees the image alone, and would give other labels than ``test_step``."""
    segmentor.data_preprocessor.test_cfg = padding
    with pytest.raises(
        UserInputError, match=f'^model.data_preprocessor.test_cfg={{.*}} {expected}'
    ):
        deploy(segmentor, 'torchscript', tmp_path / 'night', (60, 90), dynamic)
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_the_test_does_not_pad_is_written(
    segmentor: EncoderDecoder, tmp_path: Path
) -> None:
    segmentor.data_preprocessor.test_cfg = dict(size_divisor=32)
    done = deploy(segmentor, 'torchscript', tmp_path / 'night', SIZE)
    image = torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8)
    logits = FORMATS['torchscript'].load(done.files[0], 1)(image[None].float())
    labels = label_map(logits[0], SIZE, SIZE, segmentor.align_corners)
    expected = predict_image(segmentor, image).pred_sem_seg.data[0]
    assert (labels == expected).float().mean() >= 0.9999


def test_a_full_disk(
    segmentor: EncoderDecoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(folder: Any, size: int) -> None:
        raise OSError(errno.ENOSPC, f'{size} bytes are needed')

    monkeypatch.setattr(deployment, 'check_free_space', full)
    with pytest.raises(UserInputError, match='night.pt cannot be written: .* bytes are needed'):
        deploy(segmentor, 'torchscript', tmp_path / 'night', SIZE)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment_formats, 'find_spec', lambda name: None)
    check_installed(['torchscript'])
    with pytest.raises(UserInputError) as error:
        check_installed(['torchscript', 'openvino'])
    assert str(error.value) == (
        '--format openvino needs the package openvino, which is not installed: '
        "`pip install 'mmseg-ccdistill[openvino]'`"
    )


def test_the_size_is_that_of_the_test_pipeline() -> None:
    """As ``Resize`` itself brings an image of 1920 x 1080 to it."""
    image = np.zeros((1080, 1920, 3), np.uint8)
    for scale in ((960, 540), (540, 960)):
        for ratio in (dict(keep_ratio=True), dict(keep_ratio=False), {}):
            resize = dict(type='Resize', scale=scale, **ratio)
            resized = TRANSFORMS.build(resize)(dict(img=image, seg_fields=[]))['img']
            assert image_size(Config(dict(test_pipeline=[resize]))) == resized.shape[:2], resize
    with pytest.raises(UserInputError, match='no Resize with a scale: give --size H W'):
        image_size(Config(dict(test_pipeline=[])))


def test_frames_are_files_or_synthetic(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 48, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image)
    (frame,) = read_frames([tmp_path / 'a.png'], (32, 48))
    assert torch.equal(frame[0].byte(), torch.from_numpy(image).permute(2, 0, 1))
    first, second = read_frames([], SIZE)
    assert first.shape == (1, 3, *SIZE) and not torch.equal(first, second)
    assert torch.equal(first, first.round()) and first.min() >= 0 and first.max() <= 255
    (tmp_path / 'b.png').write_text('no image')
    with pytest.raises(UserInputError, match='b.png is no image that can be read'):
        read_frames([tmp_path / 'b.png'], SIZE)


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / 'tools/model_converters/night2mmseg.py'
    spec = importlib.util.spec_from_file_location('night2mmseg', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(tool: ModuleType, *arguments: object) -> int:
    return run_main(lambda: tool.main([str(argument) for argument in arguments]))


def test_the_tool_writes_every_format_that_is_named(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    config = run_config(REFINENET)
    config.dump(str(tmp_path / 'run.py'))
    save(build(config), tmp_path / 'iter_2.pth')
    monkeypatch.chdir(tmp_path)
    options = ['run.py', 'iter_2.pth', 'night', '--format', 'torchscript', 'safetensors']
    if importlib.util.find_spec('safetensors') is None:
        options.pop()
    assert call(tool, *options, '--size', 64, 96, '--dynamic') == 0
    out = capsys.readouterr().out
    assert 'night.pt: images of any size; labels of 4 frames as torch gives them: 1.000000' in out
    assert Path('night.pth').exists() and Path('night.pt').exists()
    assert call(tool, *options) == 2
    assert 'exists: choose another name or pass --force' in capsys.readouterr().err
    assert call(tool, *options, '--force', '--images', 'x.png') == 2
    assert '--images: x.png is not there' in capsys.readouterr().err
    assert call(tool, *options, '--force', '--size', 0, 96) == 2
    assert '--size must be two positive numbers, got 0 96' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('option', 'name'),
    [
        (['--size', '64', '96'], 'size'),
        (['--dynamic'], 'dynamic'),
        (['--images', 'a.png'], 'images'),
    ],
)
def test_options_of_a_runtime_need_one(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any,
    option: list[str], name: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path('a.png').touch()
    assert call(tool, 'run.py', 'iter_2.pth', 'night', '--format', 'safetensors', *option) == 2
    assert capsys.readouterr().err.startswith(
        f'error: --{name} is for a network of another runtime: name one with --format torchscript, onnx, openvino, or '
    )


@pytest.mark.parametrize(
    ('change', 'options', 'expected'),
    [
        (dict(size_divisor=32), ['--size', 60, 90], 'pads an image of 60 x 90 to 64 x 96'),
        (dict(size_divisor=32), ['--size', 64, 96, '--dynamic'], 'pads an image of 1 x 1'),
        (None, [], 'no Resize with a scale: give --size H W'),
        (None, ['--size', 64, 96, '--images', 'page.png'], 'page.png is no image'),
    ],
    ids=['padding', 'dynamic', 'no size', 'no image'],
)  # fmt: skip
def test_what_no_format_can_take_is_refused_before_anything_is_written(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any,
    change: dict | None, options: list, expected: str,
) -> None:  # fmt: skip
    config = run_config(REFINENET)
    save(build(config), tmp_path / 'iter_2.pth')
    if change is not None:
        config.model.data_preprocessor.test_cfg = change
    else:
        config.test_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile')]
    config.dump(str(tmp_path / 'run.py'))
    monkeypatch.chdir(tmp_path)
    Path('page.png').write_text('<html>')
    before = sorted(Path().rglob('*'))
    assert call(tool, 'run.py', 'iter_2.pth', 'night', '--format', 'torchscript', *options) == 2
    assert expected in capsys.readouterr().err
    assert sorted(Path().rglob('*')) == before


def test_the_tool_ends_with_code_1_if_a_format_is_refused(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def refuse(*args: Any) -> Deployed:
        raise ExportMismatchError('torchscript gives other labels')

    config = run_config(REFINENET)
    config.dump(str(tmp_path / 'run.py'))
    save(build(config), tmp_path / 'iter_2.pth')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tool, 'deploy', refuse)
    with pytest.raises(SystemExit) as ending:
        tool.main(
            ['run.py', 'iter_2.pth', 'night', '--format', 'torchscript', '--size', '64', '96']
        )
    assert ending.value.code == 1
    assert 'torchscript gives other labels; it was not written' in capsys.readouterr().err
    assert Path('night.pth').exists()
