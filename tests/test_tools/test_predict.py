"""Predictions of tools/test.py: one for every image, with labels or without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.visualization import SegLocalVisualizer
from PIL import Image
from tool_project import error_of, load_tool, make_project, run_tool

from mmseg_ccdistill.engine.label_needs import (
    adapt_to_unlabelled,
    check_labels,
    without_annotations,
)
from mmseg_ccdistill.engine.prediction_folders import keep_folders
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.command_line import load_config
from mmseg_ccdistill.runtime.ranks import RANK_VARIABLES

_MORE = """
_base_ = ['{name}.py']
test_evaluator = dict(type='{metric}')
test_cfg = dict(type='TestLoop')
train_cfg = dict(type='IterBasedTrainLoop', max_iters=2)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01))
default_hooks = dict(visualization=dict(type='SegVisualizationHook'))
visualizer = dict(type='SegLocalVisualizer', name='predict', vis_backends=[dict(type='LocalVisBackend')])
tta_model = dict(type='SegTTAModel')
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='Resize', scale=(48, 32), keep_ratio=True)],
        [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
        [dict(type='LoadAnnotations')],
        [dict(type='PackSegInputs')],
    ]),
]
"""
_SOURCE = 'test_dataloader.dataset'
_NIGHT = 'data/dark_zurich/rgb_anon/val/night'
_PREFIX = "{'img_path': 'rgb_anon/val/night'}"


@pytest.fixture(scope='module')
def project(tmp_path_factory) -> Path:
    root = make_project(tmp_path_factory.mktemp('predict'))
    for metric in ('IoUMetric', 'NightIoUMetric'):
        text = _MORE.format(name='source', metric=metric)
        (root / f'{metric}.py').write_text(text)
    unlabelled = (
        "_base_ = ['IoUMetric.py']\n"
        "test_dataloader = dict(dataset=dict(data_prefix=dict(_delete_=True, img_path='rgb_anon/val/night')))\n"
    )
    (root / 'unlabelled.py').write_text(unlabelled)
    # The same file name in three folders.
    for number, folder in enumerate(('a', 'b', 'c')):
        for kind, suffix in (('rgb_anon', 'rgb_anon'), ('gt', 'gt_labelTrainIds')):
            source = sorted((root / f'data/dark_zurich/{kind}/val/night').rglob('*.png'))[number]
            target = root / f'data/twice/{kind}/{folder}/0_{suffix}.png'
            target.parent.mkdir(parents=True)
            shutil.copy(source, target)
    return root


@pytest.fixture
def here(project, monkeypatch) -> Path:
    monkeypatch.chdir(project)
    return project


def call(monkeypatch, config: str, *arguments: object) -> int:
    # mmengine keeps one for the life of a process
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):
        kept._instance_dict.clear()
    tool = load_tool('tools/test.py')
    return run_tool(tool, monkeypatch, config, 'source.pth', '--work-dir', 'tested', *arguments)


TWICE = [
    '--cfg-options', f'{_SOURCE}.data_root=data/twice', f'{_SOURCE}.data_prefix.img_path=rgb_anon',
    f'{_SOURCE}.data_prefix.seg_map_path=gt',
]  # fmt: skip


def predictions(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*.png'))


@pytest.mark.parametrize('metric', ['IoUMetric', 'NightIoUMetric'])
def test_images_of_one_name_have_a_prediction_each(
    here, tmp_path, monkeypatch, capsys, metric
) -> None:
    expected = ['a/0_rgb_anon.png', 'b/0_rgb_anon.png', 'c/0_rgb_anon.png']
    arguments = ['--out', tmp_path / 'out', '--show-dir', tmp_path / 'painted', *TWICE]
    assert call(monkeypatch, f'{metric}.py', *arguments) == 0
    assert len(predictions(tmp_path / 'painted')) == 3
    assert predictions(tmp_path / 'out') == expected
    assert 'mIoU' in capsys.readouterr().out
    options = [*TWICE, f'test_evaluator.output_dir={tmp_path / "own"}']
    assert call(monkeypatch, f'{metric}.py', *options) == 0
    assert predictions(tmp_path / 'own') == expected
    with Image.open(tmp_path / 'own/a/0_rgb_anon.png') as prediction:
        assert prediction.mode == 'L' and prediction.size == (96, 64)


@pytest.mark.parametrize('options', [['--show'], ['--show-dir', 'painted']], ids=['show', 'dir'])
@pytest.mark.parametrize('launcher', list(RANK_VARIABLES))
def test_pictures_need_one_process(
    here, tmp_path, monkeypatch, capsys, launcher: str, options: list[str]
) -> None:
    """The visualizer of MMSegmentation paints on the first process alone, which has a part of the images."""

    def never(*args: object) -> None:
        raise AssertionError('no group is started')

    tool = load_tool('tools/test.py')
    monkeypatch.setattr(tool, 'set_up_processes', never)
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    rank, count, local = RANK_VARIABLES[launcher]
    for name, value in ((rank, '0'), (count, '2'), (local, '0')):
        monkeypatch.setenv(name, value)
    arguments = ['IoUMetric.py', 'source.pth', '--launcher', launcher, *options]
    assert run_tool(tool, monkeypatch, *arguments, '--work-dir', tmp_path) == 2
    assert error_of(capsys) == (
        f'rank 0: {options[0]} paints the images of one process, but there are 2: expected one; leave {options[0]} '
        'out (--out DIR works with several), or test with one process: python tools/test.py CONFIG CHECKPOINT'
    )


def stock_tool(folder: Path, metric: str, **more: object) -> Runner:
    """The runner of mmseg's own tools/test.py with --out."""
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):
        kept._instance_dict.clear()
    config = Config.fromfile(f'{metric}.py')
    config.test_dataloader.dataset.update(
        data_root='data/twice', data_prefix=dict(img_path='rgb_anon', seg_map_path='gt')
    )
    config.merge_from_dict(dict(work_dir='stock', load_from='source.pth'))
    config.default_hooks.dataset_check = dict(type='DatasetCheckHook')
    config.test_evaluator.update(output_dir=str(folder), keep_results=True, **more)
    return Runner.from_cfg(config)


@pytest.mark.parametrize('metric', ['IoUMetric', 'NightIoUMetric'])
def test_the_stock_tool_keeps_folders_too(here, tmp_path, metric) -> None:
    expected = ['a/0_rgb_anon.png', 'b/0_rgb_anon.png', 'c/0_rgb_anon.png']
    scores = stock_tool(tmp_path / 'scored', metric).test()
    assert predictions(tmp_path / 'scored') == expected
    assert 'mIoU' in scores
    assert stock_tool(tmp_path / 'only', metric, format_only=True).test() == {}
    assert predictions(tmp_path / 'only') == expected


def test_the_stock_tool_does_not_replace_the_data(here) -> None:
    before = {path: path.read_bytes() for path in Path('data/twice').rglob('*.png')}
    with pytest.raises(
        UserInputError, match=r'^test_evaluator\.output_dir: .* would replace the f'
    ):
        stock_tool(Path('data/twice/rgb_anon'), 'IoUMetric').test()
    assert {path: path.read_bytes() for path in Path('data/twice').rglob('*.png')} == before


def test_predictions_do_not_replace_the_data(here, monkeypatch, capsys) -> None:
    before = {path: path.read_bytes() for path in Path('data/twice').rglob('*.png')}
    assert call(monkeypatch, 'IoUMetric.py', '--out', 'data/twice/rgb_anon', *TWICE) == 2
    assert 'would replace the file' in error_of(capsys)
    assert {path: path.read_bytes() for path in Path('data/twice').rglob('*.png')} == before


def test_other_metrics_that_drop_folders_are_refused(here) -> None:
    init_default_scope('mmseg')
    config = Config.fromfile('IoUMetric.py')
    config.test_dataloader.dataset.update(
        data_root='data/twice', data_prefix=dict(img_path='rgb_anon', seg_map_path='gt')
    )
    config.test_evaluator = dict(type='CityscapesMetric', output_dir='out')
    with pytest.raises(
        UserInputError, match=r'^test_evaluator\.0\.output_dir: the images .*a/0_rgb'
    ):
        keep_folders(config, 'test')


@pytest.mark.parametrize(
    'options', [['--out', 'OUT'], ['--out', 'OUT', '--tta'], ['--show-dir', 'OUT']]
)
def test_frames_without_labels_are_predicted(here, tmp_path, monkeypatch, capsys, options) -> None:
    options = [str(tmp_path / 'out') if option == 'OUT' else option for option in options]
    assert call(monkeypatch, 'unlabelled.py', *options) == 0
    assert len(predictions(tmp_path / 'out')) == 3
    if '--out' in options:
        frames = sorted(Path(_NIGHT).rglob('*.png'))
        assert predictions(tmp_path / 'out') == [str(f.relative_to(_NIGHT)) for f in frames]
    captured = capsys.readouterr()
    assert 'mIoU' not in captured.out
    assert 'its frames are predicted and nothing is scored' in captured.out + captured.err


def test_format_only_is_enough(here, tmp_path, monkeypatch) -> None:
    options = ['test_evaluator.format_only=True', f'test_evaluator.output_dir={tmp_path / "out"}']
    assert call(monkeypatch, 'unlabelled.py', '--cfg-options', *options) == 0
    assert len(predictions(tmp_path / 'out')) == 3


def test_scores_without_labels_are_one_sentence(here, monkeypatch, capsys) -> None:
    assert call(monkeypatch, 'unlabelled.py') == 2
    assert error_of(capsys) == (
        'test_dataloader.dataset has no labels (no data_prefix.seg_map_path): expected labels, because '
        'IoUMetric scores; set test_dataloader.dataset.data_prefix.seg_map_path, or predict alone, with '
        '--out FOLDER or --show-dir FOLDER'
    )


def test_scores_without_loading_are_one_sentence(here, tmp_path, monkeypatch, capsys) -> None:
    (here / 'unloaded.py').write_text(
        "_base_ = ['NightIoUMetric.py']\n"
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'),\n"
        "    dict(type='Resize', scale=(48, 32)), dict(type='PackSegInputs')]))\n"
    )
    assert call(monkeypatch, 'unloaded.py') == 2
    assert error_of(capsys) == (
        'test_dataloader.dataset.pipeline loads no labels: expected LoadAnnotations, because NightIoUMetric '
        "scores; add dict(type='LoadAnnotations') after Resize, or predict alone, with --out FOLDER or "
        '--show-dir FOLDER'
    )
    assert call(monkeypatch, 'unloaded.py', '--out', tmp_path / 'out') == 0
    assert len(predictions(tmp_path / 'out')) == 3


@pytest.mark.parametrize(
    ('loader', 'sentence'),
    [
        (
            'source',
            'train_dataloader.dataset.pipeline loads no labels: expected LoadAnnotations, because the loss on '
            "this data set needs them; add dict(type='LoadAnnotations') after LoadImageFromFile",
        ),
        (
            'train',
            'train_dataloader.dataset has no labels (no data_prefix.seg_map_path): expected labels, because '
            'its pipeline holds LoadAnnotations; set train_dataloader.dataset.data_prefix.seg_map_path, or take '
            'LoadAnnotations out',
        ),
        (
            'val',
            'val_dataloader.dataset.pipeline loads no labels: expected LoadAnnotations, because IoUMetric '
            "scores; add dict(type='LoadAnnotations') after Resize",
        ),
    ],
)
def test_training_without_labels_is_one_sentence(
    here, monkeypatch, capsys, loader, sentence
) -> None:
    text = (
        "_base_ = ['IoUMetric.py']\n"
        'val_dataloader = {{_base_.test_dataloader}}\n'
        "val_evaluator = dict(type='IoUMetric')\nval_cfg = dict(type='ValLoop')\n"
    )
    if loader == 'train':
        text += (
            'train_dataloader = dict(dataset=dict(data_prefix=dict(_delete_=True,\n'
            "    img_path='leftImg8bit/train')))\n"
        )
    elif loader == 'source':
        text += (
            "train_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'),\n"
            "    dict(type='PackSegInputs')]))\n"
        )
    else:
        text = text.replace('{{_base_.test_dataloader}}', (
            "dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler'), dataset=dict(\n"
            "    type='DarkZurichDataset', data_root='data/dark_zurich',\n"
            "    data_prefix=dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night'),\n"
            "    pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]))"
        ))  # fmt: skip
    (here / f'without_{loader}.py').write_text(text)
    tool = load_tool('tools/train.py')
    assert run_tool(tool, monkeypatch, f'without_{loader}.py', '--work-dir', 'trained') == 2
    assert error_of(capsys) == sentence


def test_the_source_of_an_adaptation_needs_labels(here) -> None:
    config = load_config('tiny.py')
    init_default_scope('mmseg')
    check_labels(config, ['train_dataloader'])
    source = config.train_dataloader.dataset.source
    source.pipeline = without_annotations(source.pipeline)
    with pytest.raises(UserInputError, match=r'^train_dataloader.dataset.source.pipeline loads no'):
        check_labels(config, ['train_dataloader'])


def test_a_loader_of_ones_own_may_load_labels() -> None:
    class LoadMine:
        """A transform that nobody else knows."""

    dataset = dict(type='X', pipeline=[dict(type=LoadMine)])
    config = Config(
        dict(test_evaluator=dict(type='IoUMetric'), test_dataloader=dict(dataset=dataset))
    )
    adapt_to_unlabelled(config, False)
    assert config.test_evaluator == dict(type='IoUMetric')


def test_labels_are_left_out_inside_test_time_augmentation() -> None:
    init_default_scope('mmseg')
    load, pack = dict(type='LoadAnnotations'), dict(type='PackSegInputs')
    inner = dict(type='TestTimeAug', transforms=[[load], [pack]])
    assert without_annotations([load, inner]) == [dict(type='TestTimeAug', transforms=[[pack]])]
