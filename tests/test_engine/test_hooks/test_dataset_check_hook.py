import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from mmseg_ccdistill.datasets import DatasetCheckError
from mmseg_ccdistill.engine.hooks import DatasetCheckHook, dataset_check_hook
from mmseg_ccdistill.errors import UserInputError


class Toy(BaseModel):
    """Counts what happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.events: list[str] = []

    def init_weights(self) -> None:
        self.events.append('init_weights')

    def forward(self, inputs, data_samples, mode='tensor'):
        self.events.append(mode)
        return dict(loss=self.weight * torch.stack(inputs).float().mean())


def make_root(root: Path, wrong_value: int | None = None) -> Path:
    for index in range(2):
        for folder, suffix, image in (
            ('leftImg8bit', 'leftImg8bit', np.full((8, 16, 3), 90, np.uint8)),
            ('gtFine', 'gtFine_labelTrainIds', np.full((8, 16), index, np.uint8)),
        ):
            path = root / f'{folder}/train/ulm/ulm_{index:06d}_000019_{suffix}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            if wrong_value is not None and index == 1 and image.ndim == 2:
                image[:] = wrong_value
            cv2.imwrite(str(path), image)
    return root


def make_loader(root: Path) -> dict:
    return dict(
        dataset=dict(
            type='CityscapesDataset',
            data_root=str(root),
            data_prefix=dict(img_path='leftImg8bit/train', seg_map_path='gtFine/train'),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
        ),
        sampler=dict(type='DefaultSampler', shuffle=False),
        batch_size=1,
        num_workers=0,
        collate_fn=dict(type='pseudo_collate'),
    )


def make_runner(root: Path, work_dir: Path, **kwargs) -> Runner:
    return Runner(
        model=Toy(),
        work_dir=str(work_dir),
        train_dataloader=make_loader(root),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(logger=None, checkpoint=None),
        custom_hooks=[dict(type='DatasetCheckHook')],
        default_scope='mmseg',
        experiment_name=f'check_{work_dir.name}_{os.getpid()}',
        **kwargs,
    )


@pytest.fixture(autouse=True)
def mmseg_scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def test_good_data_are_trained_on(tmp_path):
    runner = make_runner(make_root(tmp_path / 'data'), tmp_path / 'good')
    runner.train()
    assert runner.model.events == ['init_weights', 'loss']


def test_wrong_labels_stop_the_run_before_the_weights_are_made(tmp_path):
    runner = make_runner(make_root(tmp_path / 'data', wrong_value=26), tmp_path / 'bad')
    with pytest.raises(DatasetCheckError, match=r'ulm_000001.*26, which look like labelIds'):
        runner.train()
    assert runner.model.events == []


def test_validation_data_are_checked_before_training(tmp_path):
    runner = make_runner(
        make_root(tmp_path / 'data'),
        tmp_path / 'val',
        val_dataloader=make_loader(make_root(tmp_path / 'val_data', wrong_value=26)),
        val_cfg=dict(type='ValLoop'),
        val_evaluator=dict(type='IoUMetric'),
    )
    with pytest.raises(DatasetCheckError, match='val_data'):
        runner.train()
    assert runner.model.events == []


def test_the_hook_is_registered_and_comes_early():
    hook = HOOKS.build(dict(type='DatasetCheckHook', manifest_dir='somewhere'))
    assert isinstance(hook, DatasetCheckHook)
    assert hook.priority == 'VERY_HIGH' and hook.manifest_dir == 'somewhere'


def test_other_ranks_of_a_node_do_not_check_but_fail_with_the_verdict(monkeypatch):
    def never(*_):
        raise AssertionError('only the first process of a node looks at files')

    monkeypatch.setenv('LOCAL_RANK', '1')
    monkeypatch.setattr(dataset_check_hook, 'get_rank', lambda: 1)
    monkeypatch.setattr(dataset_check_hook, 'get_world_size', lambda: 2)
    monkeypatch.setattr(
        dataset_check_hook, 'all_gather_object', lambda own: ['The label x is wrong', own]
    )
    monkeypatch.setattr(dataset_check_hook, 'check_dataset', never)
    with pytest.raises(DatasetCheckError, match='^rank 0 reported an error: The label x is wrong$'):
        DatasetCheckHook().before_run(None)


def test_a_single_process_checks_whatever_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv('LOCAL_RANK', '1')
    runner = make_runner(make_root(tmp_path / 'data', wrong_value=26), tmp_path / 'alone')
    with pytest.raises(DatasetCheckError, match='which look like labelIds'):
        runner.train()


def test_the_others_are_told_of_any_error(monkeypatch, tmp_path):
    sent = []
    monkeypatch.setattr(
        dataset_check_hook, 'all_gather_object', lambda own: sent.append(own) or [own]
    )
    monkeypatch.setattr(
        dataset_check_hook, 'check_dataset', lambda *_: (_ for _ in ()).throw(OSError('disk gone'))
    )
    runner = make_runner(make_root(tmp_path / 'data'), tmp_path / 'work')
    with pytest.raises(OSError, match='disk gone'):
        runner.train()
    assert sent == ['disk gone']


def test_the_tools_of_others_compare_the_classes_too(tmp_path: Path) -> None:
    """They build first and check nothing themselves; the hook stops them before the first iteration."""
    root = make_root(tmp_path / 'data')
    model = dict(decode_head=dict(type='FCNHead', num_classes=5))
    config = Config(dict(model=model, train_dataloader=make_loader(root)))
    runner = make_runner(root, tmp_path / 'run', cfg=config)
    with pytest.raises(UserInputError, match='model.decode_head.num_classes is 5, but'):
        runner.train()
    assert 'loss' not in runner.model.events
