"""Classes of data, heads and losses: what does not agree ends in one sentence before anything is built."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config
from mmseg.registry import MODELS
from mmseg.utils import cityscapes_classes
from tool_project import load_tool, make_project, run_tool

from mmseg_ccdistill.engine.class_check import check_classes
from mmseg_ccdistill.errors import UserInputError

FIVE = ['sky', 'lane', 'bus', 'person', 'road']
TRAIN, TEST = ['train_dataloader'], ['train_dataloader', 'test_dataloader']
SOURCE = 'train_dataloader.dataset.source'


@pytest.fixture(scope='module')
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('project'))


@pytest.fixture
def config(project: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Of CCDistill with the 19 classes."""
    monkeypatch.chdir(project)
    return Config.fromfile('tiny.py')


def own(config: Config, classes: list[str], **settings: Any) -> Config:
    """Give data and heads other classes, and whatever else is named."""
    for key in (SOURCE, 'test_dataloader.dataset'):
        config.merge_from_dict(
            {f'{key}.type': 'BaseSegDataset', f'{key}.metainfo': dict(classes=classes)}
        )
    config.merge_from_dict({'model.segmentor.decode_head.num_classes': len(classes)})
    config.merge_from_dict(settings)
    return config


def sentence(config: Config, loaders: list[str] = TRAIN) -> str:
    with pytest.raises(UserInputError) as caught:
        check_classes(config, loaders)
    return str(caught.value)


def test_the_classes_of_cityscapes_need_no_word(config: Config) -> None:
    check_classes(config, TEST)
    check_classes(Config.fromfile('source.py'), TEST)
    check_classes(Config(dict(model=config.model)), TEST)  # no data, nothing to compare


def test_another_number_of_classes_in_a_head_is_named(config: Config) -> None:
    config.model.segmentor.decode_head.num_classes = 5
    assert sentence(config) == (
        f'model.segmentor.decode_head.num_classes is 5, but {SOURCE} has 19 classes (road, sidewalk, building, '
        'wall, …): expected equal numbers; set model.segmentor.decode_head.num_classes=19, or choose classes '
        'with metainfo=dict(classes=[...]) of the data sets'
    )


@pytest.mark.parametrize('wrap', [dict, lambda **head: [dict(head)]])
def test_an_auxiliary_head_counts_too(config: Config, wrap: Any) -> None:
    config.model.segmentor.auxiliary_head = wrap(type='FCNHead', num_classes=7)
    assert 'num_classes is 7' in sentence(config)
    config.model.segmentor.auxiliary_head = wrap(type='STDCHead', num_classes=2)  # of boundaries
    check_classes(config, TRAIN)


@pytest.mark.parametrize('name', ['tiny.py', 'source.py'])
def test_one_class_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(project)
    config = Config.fromfile(name)
    dataset = config.train_dataloader.dataset
    dataset.get('source', dataset).metainfo = dict(classes=['road'])
    found = sentence(config)
    assert found.endswith(
        "CityscapesDataset has one class, 'road': expected two or more, because a softmax over one class is "
        'always 1 and its loss 0; make the rest a class, too, e.g. '
        "metainfo=dict(classes=['background', 'road'])"
    )


def test_labels_without_names_are_refused(config: Config) -> None:
    config.train_dataloader.dataset.source.type = 'BaseSegDataset'
    assert sentence(config) == (
        f'{SOURCE}: BaseSegDataset names no classes: expected the names of its label ids; set '
        'metainfo=dict(classes=[...])'
    )


def test_training_and_test_must_have_one_order(config: Config) -> None:
    config.test_dataloader.dataset.metainfo = dict(classes=cityscapes_classes()[::-1])
    assert sentence(config, TEST) == (
        f'test_dataloader.dataset: its classes are not those of {SOURCE} (the same names in another order: class 0 '
        f"is 'road' in {SOURCE}, 'bicycle' in test_dataloader.dataset): expected the same names in the same order, "
        'because a model knows classes by their ids; set metainfo=dict(classes=...) of both alike'
    )


def test_an_order_of_ones_own_is_not_taken_for_that_of_cityscapes(config: Config) -> None:
    backwards = cityscapes_classes()[::-1]
    for key in ('train_dataloader.dataset.source', 'test_dataloader.dataset'):
        config.merge_from_dict({f'{key}.metainfo': dict(classes=backwards)})
    loss = 'model.segmentor.decode_head.loss_decode'
    assert sentence(config) == (
        f"{loss}: class_weight='balanced' weighs the classes of Cityscapes, and {SOURCE} has other classes (the "
        f"same names in another order: class 0 is 'road' in the loss, 'bicycle' in {SOURCE}): expected the same "
        f'names in the same order; set {loss}.classes to those of the data, where Cityscapes lacks one of them, '
        'class_weight to a list of one weight per class or None'
    )
    config.merge_from_dict({f'{loss}.classes': backwards})
    assert re.match(
        "model.loss_pseudo: static_classes are names of classes of Cityscapes and class_weight='balanced' weighs .*"
        'set model.loss_pseudo.classes to those of the data, static_classes to the names among them that stay',
        sentence(config),
    )
    config.merge_from_dict({'model.loss_pseudo.classes': backwards})
    check_classes(config, TEST)
    assert MODELS.build(config.model).loss_pseudo.static_classes == list(range(8, 19))


def test_classes_of_ones_own(config: Config) -> None:
    plain = {
        'model.segmentor.decode_head.loss_decode.class_weight': None,
        'model.loss_pseudo.class_weight': None,
    }
    own(config, FIVE, **plain)
    assert 'static_classes are names of classes of Cityscapes, and' in sentence(config)
    config.model.loss_pseudo.classes = FIVE
    assert "must be distinct names out of ['sky', 'lane'" in sentence(config)
    config.model.loss_pseudo.static_classes = ['road', 'sky']
    check_classes(config, TEST)
    assert MODELS.build(config.model).loss_pseudo.static_classes == [0, 4]
    config.model.loss_pseudo.classes = FIVE[::-1]
    assert 'static_classes are names of classes that the loss names, and' in sentence(config)


def test_balanced_weights_need_frequencies(config: Config) -> None:
    own(config, FIVE)
    config.model.segmentor.decode_head.loss_decode.classes = FIVE
    assert sentence(config) == (
        "model.segmentor.decode_head.loss_decode: class_weight='balanced' knows the frequencies of the 19 classes "
        "of Cityscapes alone, not of ['lane']: give class_weight as a list of one positive weight per class "
        "(class_balance_weights makes it of your own labels' frequencies), or None for equal ones."
    )


def test_ids_are_taken_as_they_are_where_their_number_fits(config: Config) -> None:
    plain = {'model.segmentor.decode_head.loss_decode.class_weight': None}
    pseudo = dict(type='StaticLoss', class_weight=None, static_classes=[0, 4])
    own(config, FIVE, **plain, **{'model.loss_pseudo': pseudo})
    assert sentence(config) == (
        f'model.loss_pseudo: it is for 19 classes, but {SOURCE} has 5: expected equal numbers; set '
        'model.loss_pseudo.classes to those of the data'
    )
    config.model.loss_pseudo.num_classes = 5
    check_classes(config, TRAIN)


def test_self_training_goes_by_the_names_of_the_data(config: Config) -> None:
    plain = {
        'model.segmentor.decode_head.loss_decode.class_weight': None,
        'model.loss_pseudo': None,
    }
    own(config, FIVE, **plain, **{'model.self_training': dict(type='SelfTraining')})
    assert sentence(config).startswith(
        f'model.self_training: static_classes are names of classes of Cityscapes, and {SOURCE} has other classes ('
    )
    config.model.self_training.update(static_classes=[0, 4])
    assert sentence(config) == (
        f'model.self_training: it is for 19 classes, but {SOURCE} has 5: expected equal numbers; set '
        'model.self_training.classes to those of the data'
    )
    config.model.self_training.classes = FIVE
    check_classes(config, TRAIN)


def test_reweighting_at_test_time_is_for_the_order_of_cityscapes(config: Config) -> None:
    config.model.test_reweight_std = 0.16
    check_classes(config, TEST)
    backwards = cityscapes_classes()[::-1]
    for key in (SOURCE, 'test_dataloader.dataset'):
        config.merge_from_dict({f'{key}.metainfo': dict(classes=backwards)})
    assert sentence(config).startswith('model.test_reweight_std: it weighs the 19 classes')


def test_the_prior_on_classes_is_for_the_order_of_cityscapes(config: Config) -> None:
    config.model.class_prior_weight = 1.0
    check_classes(config, TRAIN)
    backwards = cityscapes_classes()[::-1]
    config.merge_from_dict({f'{SOURCE}.metainfo': dict(classes=backwards)})
    assert sentence(config).startswith(
        'model.class_prior_weight: without class_prior the shares of the 19 classes of Cityscapes count, in their '
    )
    config.model.class_prior = [1.0] * 19
    assert 'class_prior' not in sentence(config)  # other parts go by names as well
    config.model.class_prior = None
    config.model.class_prior_weight = 0.0
    assert 'class_prior' not in sentence(config)


@pytest.mark.parametrize('name', ['train', 'test'])
def test_the_tools_check_before_they_build(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr('mmengine.runner.Runner.from_cfg', lambda *_: pytest.fail('was built'))
    arguments = ['tiny.py'] if name == 'train' else ['tiny.py', 'tiny.pth']
    options = ['--cfg-options', 'model.segmentor.decode_head.num_classes=12']
    tool = load_tool(f'tools/{name}.py')
    assert run_tool(tool, monkeypatch, *arguments, *options) == 2
    assert 'error: model.segmentor.decode_head.num_classes is 12, but' in capsys.readouterr().err
