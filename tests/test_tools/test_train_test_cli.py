import importlib.util
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import cv2
import mmseg
import numpy as np
import pytest
import torch
from meeting_port import meeting_port
from mmengine.config import Config
from mmseg.visualization import SegLocalVisualizer

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import run_main

ROOT = Path(__file__).resolve().parents[2]

# A source-only run on images of 64 x 48: every part of the runtime base, little arithmetic.
CONFIG = """
_base_ = [{base!r}, {augmentation!r}]
tta_pipeline = [dict(type='LoadImageFromFile'), _base_.tta_augment]
data = dict(
    type='CityscapesDataset',
    data_root={root!r},
    data_prefix=dict(img_path='images', seg_map_path='labels'),
    img_suffix='.png',
    seg_map_suffix='.png',
)
loading = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        data, pipeline=[*loading, dict(type='RandomFlip', prob=0.5), dict(type='PackSegInputs')]
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data, pipeline=[*loading, dict(type='PackSegInputs')]),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
norm = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor', mean=[0.0] * 3, std=[255.0] * 3, size=(48, 64)
    ),
    backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=norm),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1,
        concat_input=False, num_classes=19, norm_cfg=norm,
        loss_decode=dict(type='CrossEntropyLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
"""


#: Nothing answers there.
GONE = 'http://127.0.0.1:1/gone.pth'


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _call(name: str, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
    return run_main(_load(name).main)


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A folder with four labelled images and a config, as the working directory."""
    generator = np.random.default_rng(0)
    for name, shape, high in (('images', (48, 64, 3), 256), ('labels', (48, 64), 19)):
        (tmp_path / 'data' / name).mkdir(parents=True)
        for index in range(4):
            image = generator.integers(0, high, shape, dtype=np.uint8)
            cv2.imwrite(str(tmp_path / 'data' / name / f'{index}.png'), image)
    base, augmentation = (
        str(ROOT / 'configs/_base_' / name)
        for name in ('default_runtime.py', 'test_time_augmentation.py')
    )
    text = CONFIG.format(base=base, augmentation=augmentation, root=str(tmp_path / 'data'))
    (tmp_path / 'tiny.py').write_text(text)
    monkeypatch.chdir(tmp_path)
    SegLocalVisualizer._instance_dict.clear()  # mmengine keeps one for the life of a process
    return tmp_path


@pytest.mark.parametrize('name', ['train', 'test'])
def test_arguments_are_those_of_mmseg(name) -> None:
    theirs = Path(mmseg.__file__).parent / '.mim' / 'tools' / f'{name}.py'
    if not theirs.is_file():
        pytest.skip('this build of mmseg comes without its tools')
    flags = set(re.findall(r"'(--[\w-]+)'", theirs.read_text()))
    assert {'--work-dir', '--cfg-options', '--launcher', '--local-rank'} <= flags
    positional = ['c.py'] if name == 'train' else ['c.py', 'm.pth']
    values = {'--launcher': 'none', '--local_rank': '1', '--local-rank': '1', '--wait-time': '1'}
    switches = {'--resume', '--amp', '--show', '--tta', '--auto-scale-lr'}
    for flag in flags:
        value = [] if flag in switches else [values.get(flag, 'a=1')]
        arguments = _load(name).parse_args([*positional, flag, *value])
        assert arguments.config == 'c.py'


def test_a_missing_config_is_one_sentence_on_stderr(tmp_path) -> None:
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), 'nowhere/night.py']
    env = dict(os.environ, PYTHONPATH=str(ROOT))
    result = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 2
    errors = [line for line in result.stderr.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and "'nowhere/night.py' does not exist" in errors[0]
    assert 'Traceback' not in result.stderr


@pytest.mark.parametrize(
    ('name', 'arguments', 'expected'),
    [
        ('train', ['tiny.py', '--resume'], 'found nothing to resume'),
        ('train', ['tiny.py', '--cfg-options', 'load_from=gone.pth'], "load_from: .*'gone.pth'"),
        ('train', ['tiny.py', '--launcher', 'pytorch'], '--launcher pytorch needs'),
        ('test', ['tiny.py', 'gone.pth'], "CHECKPOINT: .*'gone.pth' does not exist"),
        (
            'test',
            ['tiny.py', 'gone.pth', '--cfg-options', 'load_from=a.pth'],
            '--cfg-options load_from: .* the argument CHECKPOINT names the weights; leave it out',
        ),
        (
            'train',
            ['tiny.py', '--cfg-options', 'train_cfg.max_iters', '=', '4'],
            'spaces around "=": .* write train_cfg.max_iters=4$',
        ),
        ('train', ['tiny.py', '--cfg-options', 'model.loss_cds=none'], 'write None'),
        (
            'train',
            ['tiny.py', '--cfg-options', 'optimizer.lr=0.5'],
            "nothing reads 'optimizer'.*write optim_wrapper.optimizer.lr",
        ),
        (
            'train',
            ['tiny.py', '--cfg-options', 'load_from=/x/a b,c.pth'],
            "load_from: .*'/x/a b,c.pth' does not exist",
        ),
        (
            'train',
            ['tiny.py', '--cfg-options', 'val_dataloader.dataset.data_root=gone'],
            "val_dataloader.dataset: .*'gone' .* does not exist",
        ),
        (
            'train',
            ['tiny.py', '--cfg-options', 'train_dataloader.dataset.img_suffix=.tiff'],
            'train_dataloader.dataset: .*tiff',
        ),
    ],
)
def test_mistakes_end_in_one_sentence(
    project, capsys, monkeypatch, name, arguments, expected
) -> None:
    for variable in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(variable, raising=False)
    assert _call(name, *arguments, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err.strip()
    assert '\n' not in error and re.match(f'error: .*{expected}', error)


@pytest.mark.parametrize(
    ('name', 'arguments'),
    [('test', [GONE]), ('train', ['--cfg-options', f'load_from={GONE}'])],
)
def test_an_address_that_does_not_answer_is_one_sentence(
    project, capsys, monkeypatch, name, arguments
) -> None:
    monkeypatch.setenv('TORCH_HOME', str(project / 'cache'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    assert _call(name, 'tiny.py', *arguments, monkeypatch=monkeypatch) == 2
    error = capsys.readouterr().err
    assert re.search(rf"^error: the checkpoint '{GONE}' cannot be downloaded \(", error, re.M)
    assert 'URLError' not in error


def test_a_missing_label_is_named_before_the_first_iteration(project, capsys, monkeypatch) -> None:
    (project / 'data' / 'labels' / '2.png').unlink()
    assert _call('train', 'tiny.py', monkeypatch=monkeypatch) == 2
    captured = capsys.readouterr()
    assert re.search(r'^error: .*2\.png', captured.err, re.MULTILINE)
    assert not re.search(r'^train ', captured.out, re.MULTILINE)


def test_train_then_test_with_every_option(project, capsys, monkeypatch) -> None:
    assert _call('train', 'tiny.py', monkeypatch=monkeypatch) == 0
    assert re.search(r'^train 2/2  eta .* loss ', capsys.readouterr().out, re.MULTILINE)
    checkpoint = project / 'work_dirs' / project.name / 'tiny' / 'iter_2.pth'
    SegLocalVisualizer._instance_dict.clear()

    options = ['--out', 'predictions', '--show-dir', 'painted', '--tta', '--work-dir', 'tested']
    # A process of its own: mmengine keeps one visualizer for all runs of a process.
    command = [sys.executable, str(ROOT / 'tools/test.py'), 'tiny.py', str(checkpoint), *options]
    tested = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=240)

    assert tested.returncode == 0, tested.stderr[-2000:]
    assert 'mIoU' in tested.stdout
    SegLocalVisualizer._instance_dict.clear()
    predictions = sorted((project / 'predictions').glob('*.png'))
    assert [path.name for path in predictions] == ['0.png', '1.png', '2.png', '3.png']
    label = cv2.imread(str(predictions[0]), cv2.IMREAD_UNCHANGED)
    assert label.shape == (48, 64) and label.max() < 19
    assert len(list((project / 'painted').rglob('*.png'))) == 4
    assert list((project / 'tested').glob('*/*.log'))

    # The same again would write over its checkpoints.
    checkpoints = {path: path.read_bytes() for path in (project / 'work_dirs').rglob('*.pth')}
    assert checkpoints and _call('train', 'tiny.py', monkeypatch=monkeypatch) == 2
    assert 'holds checkpoints of an earlier run, iter_' in capsys.readouterr().err
    assert {p: p.read_bytes() for p in (project / 'work_dirs').rglob('*.pth')} == checkpoints

    # Two iterations more, from where the first run stopped.
    more = ['--resume', '--cfg-options', 'train_cfg.max_iters=4']
    assert _call('train', 'tiny.py', *more, monkeypatch=monkeypatch) == 0
    lines = re.findall(r'^train (\d)/4', capsys.readouterr().out, re.MULTILINE)
    assert lines == ['4']


def test_two_processes_train_on_gloo(project) -> None:
    script = str(ROOT / 'tools' / 'dist_train.sh')
    env = dict(os.environ, PYTHON=sys.executable, PORT=str(meeting_port()))
    env.update(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        env.pop(name, None)
    command = ['bash', script, 'tiny.py', '2', '--cfg-options', 'randomness.seed=3']

    result = subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, timeout=240
    )

    assert result.returncode == 0, result.stderr[-3000:]
    assert len(re.findall(r'^train 2/2', result.stdout, re.MULTILINE)) == 1  # rank 0 alone
    assert 'GPU number: 2' in result.stdout  # mmengine's word for the number of processes
    assert 'mIoU' in result.stdout
    assert (project / 'work_dirs' / project.name / 'tiny' / 'iter_2.pth').is_file()


def _fake(folder: Path, name: str) -> Path:
    """A program that prints its arguments, one a line, and PYTHONPATH."""
    path = folder / name
    path.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\necho "path=$PYTHONPATH"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize(
    ('script', 'arguments', 'tail'),
    [
        ('dist_train.sh', ['c.py', '4'], ['train.py', 'c.py', '--launcher', 'pytorch']),
        (
            'dist_test.sh',
            ['c.py', 'm.pth', '4'],
            ['test.py', 'c.py', 'm.pth', '--launcher', 'pytorch'],
        ),
        ('slurm_train.sh', ['gpu', 'job', 'c.py'], ['train.py', 'c.py', '--launcher', 'slurm']),
        (
            'slurm_test.sh',
            ['gpu', 'job', 'c.py', 'm.pth'],
            ['test.py', 'c.py', 'm.pth', '--launcher', 'slurm'],
        ),
    ],
)
def test_shell_scripts_pass_their_arguments_on(tmp_path, script, arguments, tail) -> None:
    python = _fake(tmp_path, 'python with space')
    _fake(tmp_path, 'srun')
    env = dict(
        PATH=f'{tmp_path}:{os.environ["PATH"]}',
        PYTHON=str(python),
        PYTHONPATH='mine',
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.1',
        PORT='2950',
        GPUS='16',
        GPUS_PER_NODE='8',
        SRUN_ARGS='--quiet --mem=8G',
    )
    path = ROOT / 'tools' / script
    extra = ['--cfg-options', 'key="[a, b]"']

    result = subprocess.run(
        ['bash', str(path), *arguments, *extra], env=env, capture_output=True, text=True
    )

    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[-1] == f'path={ROOT}:mine'
    start = lines.index(f'{ROOT}/tools/{tail[0]}')
    assert lines[start + 1 : -1] == [*tail[1:], *extra]  # with its blanks and quotes
    if script.startswith('dist'):
        assert {
            '--nnodes=2', '--node_rank=1', '--master_addr=10.0.0.1', '--master_port=2950',
            '--nproc_per_node=4',
        } <= set(lines)  # fmt: skip
    else:
        assert {
            '--ntasks=16', '--ntasks-per-node=8', '--gres=gpu:8', '--quiet', '--mem=8G',
            '--job-name=job', str(python),
        } <= set(lines)  # fmt: skip


@pytest.mark.parametrize('script', ['dist_train', 'dist_test', 'slurm_train', 'slurm_test'])
def test_shell_scripts_without_arguments_state_their_usage(script) -> None:
    path = ROOT / 'tools' / f'{script}.sh'
    assert os.access(path, os.X_OK) and path.read_text().startswith('#!/usr/bin/env bash\n')
    result = subprocess.run(['bash', str(path)], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.startswith(f'usage: bash tools/{script}.sh')


def test_options_of_the_test_tool_reach_the_config() -> None:
    tool = _load('test')
    config = Config(
        dict(
            default_hooks=dict(visualization=dict(type='SegVisualizationHook')),
            visualizer=dict(),
            test_evaluator=[dict(type='IoUMetric'), dict(type='IoUMetric')],
            model=dict(type='EncoderDecoder'),
            test_dataloader=dict(dataset=dict(pipeline=[])),
        )
    )
    tool.draw_predictions(config, show=True, show_dir='pictures', wait_time=3)
    assert config.default_hooks.visualization == dict(
        type='NumberedPicturesHook', draw=True, show=True, wait_time=3
    )
    assert config.visualizer.save_dir == 'pictures'
    tool.keep_predictions(config, 'labels')
    writer = dict(type='PredictionFiles', output_dir='labels')
    assert config.test_evaluator == [dict(type='IoUMetric'), dict(type='IoUMetric'), writer]
    with pytest.raises(UserInputError, match='tta_pipeline and tta_model'):
        tool.augment_at_test_time(config)
    config.default_hooks.pop('visualization')
    with pytest.raises(UserInputError, match='visualization hook'):
        tool.draw_predictions(config, show=False, show_dir='pictures', wait_time=0)
