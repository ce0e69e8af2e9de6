from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cv2
import mmseg
import numpy as np
import pytest
import torch
from adaptation_run import REFINENET, SEGFORMER, build, run_config, save
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model
from mmseg.evaluation import IoUMetric
from mmseg.registry import MODELS

from benchmarks.shrink import shrink
from mmseg_ccdistill.runtime.command_line import run_main

ROOT = Path(__file__).resolve().parents[2]

#: The wheels of both stacks have the tools inside the package.
STOCK_TEST = Path(mmseg.__file__).parent / '.mim/tools/test.py'

# A process without this package: importing it fails, as where it was never installed.
PLAIN_MMSEG = """
import runpy, sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'mmseg_ccdistill':
            raise ImportError(f'{name} is not installed')

sys.meta_path.insert(0, NotInstalled())
try:
    import mmseg_ccdistill
except ImportError:
    pass
else:
    raise SystemExit('the package can be imported')
"""


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    path = ROOT / 'tools/model_converters/night2mmseg.py'
    spec = importlib.util.spec_from_file_location('night2mmseg', path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_run(folder: Path, config: Config) -> torch.nn.Module:
    """run.py and iter_2.pth of an adaptation, and two labelled night images in data/."""
    generator = np.random.default_rng(0)
    for index in range(2):
        stem = f'val/night/GOPR0356/GOPR0356_frame_00032{index}'
        for path, shape, high in (
            (f'rgb_anon/{stem}_rgb_anon.png', (54, 96, 3), 256),
            (f'gt/{stem}_gt_labelTrainIds.png', (54, 96), 19),
        ):
            file = folder / 'data/dark_zurich' / path
            file.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(file), generator.integers(0, high, shape, dtype=np.uint8))
    config.dump(str(folder / 'run.py'))
    model = build(config)
    save(model, folder / 'iter_2.pth')
    return model


def call(tool: ModuleType, *arguments: object) -> int:
    return run_main(lambda: tool.main([str(argument) for argument in arguments]))


def snippet(name: str) -> str:
    """The Python code of docs/deploy.md that has `name` in it."""
    blocks = re.findall(r'```python\n(.*?)```', (ROOT / 'docs/deploy.md').read_text(), re.DOTALL)
    (code,) = [block for block in blocks if name in block]
    return code


def run_plain(code: str, folder: Path) -> str:
    """Run code where this package is not installed."""
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')
    env.pop('PYTHONPATH', None)
    result = subprocess.run(
        [sys.executable, '-c', PLAIN_MMSEG + code],
        cwd=folder, env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


def test_a_stock_model_runs_in_plain_mmseg(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """The code of the documentation and mmseg's own test.py, without this package."""
    model = write_run(tmp_path, run_config(SEGFORMER))
    monkeypatch.chdir(tmp_path)
    assert call(tool, 'run.py', 'iter_2.pth', 'night') == 0
    out = capsys.readouterr().out
    count = len(model.night.state_dict())
    assert f'{count} tensors' in out and 'logits identical to night' in out
    assert 'plain MMSegmentation runs it' in out and 'mmseg_ccdistill' not in out
    images = sorted(Path('data').rglob('*_rgb_anon.png'))
    (tmp_path / 'street.png').write_bytes(images[0].read_bytes())

    assert STOCK_TEST.is_file()
    code = f"""
{snippet('init_model')}
import torch; torch.save(result.seg_logits.data, 'logits.pt')
sys.argv = ['test.py', 'night.py', 'night.pth', '--work-dir', 'tested']
runpy.run_path({str(STOCK_TEST)!r}, run_name='__main__')
"""
    run_plain(code, tmp_path)

    full = init_model('run.py', 'iter_2.pth', device='cpu')
    results = [inference_model(full, str(image)) for image in images]
    assert torch.equal(torch.load('logits.pt', weights_only=True), results[0].seg_logits.data)
    areas = [
        IoUMetric.intersect_and_union(
            result.pred_sem_seg.data[0],
            torch.from_numpy(cv2.imread(str(label), cv2.IMREAD_UNCHANGED)).long(),
            19,
            255,
        )
        for result, label in zip(
            results, sorted(Path('data').rglob('*labelTrainIds.png')), strict=True
        )
    ]
    intersection, union = (sum(area[i] for area in areas) for i in (0, 1))
    (log,) = Path('tested').glob('*/*.json')
    expected = 100 * (intersection / union).nanmean().item()
    assert json.loads(log.read_text())['mIoU'] == pytest.approx(expected, abs=0.006)


def test_a_shipped_config_predicts_in_plain_mmseg(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """SegFormer MiT-B2, narrowed. Its test set and metric are this package's, whose import is optional."""
    config = shrink(Config.fromfile(str(ROOT / 'configs/ccdistill/segformer_mit-b2_cs2dz.py')))
    write_run(tmp_path, config)
    monkeypatch.chdir(tmp_path)
    assert call(tool, 'run.py', 'iter_2.pth', 'night') == 0
    assert 'plain MMSegmentation runs it' in capsys.readouterr().out
    assert 'DarkZurichNightDataset' in Path('night.py').read_text()
    image = next(Path('data').rglob('*_rgb_anon.png'))
    (tmp_path / 'street.png').write_bytes(image.read_bytes())

    code = f"""
{snippet('init_model')}
import torch; torch.save(result.seg_logits.data, 'logits.pt')
from mmseg.apis import MMSegInferencer
inferencer = MMSegInferencer(None, 'night.pth', device='cpu')
again = inferencer('street.png', return_datasamples=True, show=False)
torch.save(again.pred_sem_seg.data, 'labels.pt')
"""
    run_plain(code, tmp_path)

    expected = inference_model(init_model('run.py', 'iter_2.pth', device='cpu'), str(image))
    assert torch.equal(torch.load('logits.pt', weights_only=True), expected.seg_logits.data)
    assert torch.equal(torch.load('labels.pt', weights_only=True), expected.pred_sem_seg.data)


def test_a_refinenet_runs_from_its_files(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """init_model on the pair, the inferencer on the weights alone; the run's own config is not read."""
    write_run(tmp_path, run_config(REFINENET))
    monkeypatch.chdir(tmp_path)
    image = str(next(Path('data').rglob('*_rgb_anon.png')))
    expected = inference_model(init_model('run.py', 'iter_2.pth', device='cpu'), image)
    assert call(tool, 'run.py', 'iter_2.pth', 'exported/night.pth') == 0
    assert 'needs mmseg_ccdistill at inference: RefineNetHead' in capsys.readouterr().out
    os.remove('run.py')
    plain = init_model('exported/night.py', 'exported/night.pth', device='cpu')
    assert type(plain).__name__ == 'EncoderDecoder' and len(plain.dataset_meta['palette']) == 19
    assert torch.equal(inference_model(plain, image).seg_logits.data, expected.seg_logits.data)
    inferencer = MMSegInferencer(None, 'exported/night.pth', device='cpu')
    labels = inferencer(image, return_datasamples=True, show=False).pred_sem_seg.data
    assert torch.equal(labels, expected.pred_sem_seg.data)


def test_the_other_branch(tool: ModuleType, tmp_path: Path, monkeypatch, capsys) -> None:
    model = write_run(tmp_path, run_config(REFINENET))
    monkeypatch.chdir(tmp_path)
    assert call(tool, 'run.py', 'iter_2.pth', 'day', '--branch', 'day') == 0
    assert 'logits identical to day' in capsys.readouterr().out
    saved = torch.load('day.pth', weights_only=True)['state_dict']
    assert all(torch.equal(saved[k], v) for k, v in model.day.state_dict().items())


def test_mistakes_end_in_one_sentence(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    model = write_run(tmp_path, run_config(REFINENET))
    monkeypatch.chdir(tmp_path)
    Path('taken.py').write_text('precious')
    save(model.night, Path('plain.pth'))
    save(build(run_config(SEGFORMER)), Path('other.pth'))
    Config(dict(model=REFINENET)).dump('source.py')
    Path('page.pth').write_text('<html>')
    Path('kept.pth').mkdir()
    Path('onnx.onnx').mkdir()
    monkeypatch.setattr(tool, 'check_installed', lambda formats: None)
    before = sorted(Path().rglob('*'))
    capsys.readouterr()
    for arguments, message in (
        (['run.py', 'iter_2.pth', 'taken'], r'taken\.py exists: .* --force'),
        (['run.py', 'iter_2.pth', 'run', '--force'], r'OUT would replace run\.py'),
        (['run.py', 'iter_2.pth', 'data'], 'data is a folder'),
        (
            ['run.py', 'iter_2.pth', 'run.py/new'],
            r"nothing can be written into 'run\.py' \(Not a d",
        ),
        (
            ['run.py', 'iter_2.pth', 'run.py/a/new'],
            r"nothing can be written into 'run\.py/a' \(Not",
        ),
        (
            ['run.py', 'iter_2.pth', 'kept', '--force'],
            r"'kept\.pth' is a folder: expected the name",
        ),
        (
            ['run.py', 'iter_2.pth', 'onnx', '--force', '--format', 'onnx'],
            r"'onnx\.onnx' is a folder: expected the name of a file; choose another OUT",
        ),
        (['run.py', 'plain.pth', 'new'], r'plain\.pth: no tensor is named night'),
        (['run.py', 'other.pth', 'new'], r'other\.pth: the tensors of night are not'),
        (['run.py', 'gone.pth', 'new'], r'gone\.pth: no such file'),
        (['run.py', 'page.pth', 'new'], r'page\.pth: expected'),
        (['gone.py', 'iter_2.pth', 'new'], r"'gone\.py' does not exist"),
        (['source.py', 'iter_2.pth', 'new'], r'no model\.segmentor'),
    ):
        assert call(tool, *arguments) == 2, arguments
        text = capsys.readouterr().err
        (error,) = [line for line in text.splitlines() if line.startswith('error: ')]
        assert re.match(f'error: .*{message}', error) and 'Traceback' not in text, text
    assert sorted(Path().rglob('*')) == before and Path('taken.py').read_text() == 'precious'


def test_force_replaces_the_files(tool: ModuleType, tmp_path: Path, monkeypatch, capsys) -> None:
    write_run(tmp_path, run_config(REFINENET))
    monkeypatch.chdir(tmp_path)
    for name in ('night.py', 'night.pth'):
        Path(name).write_text('old')
    assert call(tool, 'run.py', 'iter_2.pth', 'night', '--force') == 0
    assert 'RefineNetHead' in Path('night.py').read_text()


def test_other_logits_end_with_code_1(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Here the written weights are those of the other branch."""
    write_run(tmp_path, run_config(REFINENET))
    monkeypatch.chdir(tmp_path)
    model = 'mmseg_ccdistill.export.branch_export.AdaptationSegmentor.export_branch'
    monkeypatch.setattr(model, lambda self, name: (self.day.state_dict(), []))
    with pytest.raises(SystemExit) as end:
        call(tool, 'run.py', 'iter_2.pth', 'night')
    assert end.value.code == 1
    error = capsys.readouterr().err
    assert re.search('logits of the written files differ.*nothing was written', error)
    assert not list(tmp_path.glob('night.*'))


def test_weights_as_safetensors(tool: ModuleType, tmp_path: Path, monkeypatch, capsys) -> None:
    """Equal tensors, and all that is needed to build the model; files that exist are kept."""
    load_file = pytest.importorskip('safetensors.torch').load_file
    model = write_run(tmp_path, run_config(SEGFORMER))
    monkeypatch.chdir(tmp_path)
    Path('kept.json').write_text('precious')
    assert call(tool, 'run.py', 'iter_2.pth', 'kept', '--safetensors') == 2
    assert re.search(r'kept\.json exists', capsys.readouterr().err)
    assert Path('kept.json').read_text() == 'precious' and not Path('kept.pth').exists()
    assert call(tool, 'run.py', 'iter_2.pth', 'night', '--safetensors') == 0
    weights = load_file('night.safetensors')
    night = model.night.state_dict()
    assert list(sorted(weights)) == sorted(night)
    assert all(torch.equal(weights[key], value) for key, value in night.items())
    facts = json.loads(Path('night.json').read_text())
    assert facts['classes'][0] == 'road' and facts['palette'][0] == [128, 64, 128]
    rebuilt = MODELS.build(Config(facts).model)
    rebuilt.load_state_dict(weights, strict=True)
