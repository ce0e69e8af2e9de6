"""A model from its file alone: every kind of file, and no code in it that runs."""

from __future__ import annotations

import json

import pytest
import torch
from mmengine.config import Config
from tool_project import VAL_STEMS
from trained_file import class_facts, save_trained

from mmseg_ccdistill.engine.inference import load_segmentor, predict_files
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.prediction import trained_model
from mmseg_ccdistill.prediction.pictures import PicturePipeline
from mmseg_ccdistill.prediction.segmentation import segment
from mmseg_ccdistill.prediction.trained_model import load_trained
from mmseg_ccdistill.runtime.checkpoint_file import read_checkpoint

_FRAME = f'data/dark_zurich/rgb_anon/val/night/{VAL_STEMS[0]}_rgb_anon.png'


def logits_of(trained, path) -> torch.Tensor:
    picture = PicturePipeline(trained.pipeline).read(path)
    return segment(trained, picture).logits


@pytest.mark.parametrize('branch', [None, 'day'])
def test_a_training_checkpoint_predicts_as_its_config_does(project, trained_file, branch) -> None:
    trained = load_trained(trained_file, branch=branch, device='cpu')
    assert trained.branches == ('day', 'night')
    assert trained.branch == (branch or 'night')
    assert trained.classes[:2] == ('road', 'sidewalk')
    assert trained.palette[0] == (128, 64, 128)
    config = Config.fromfile(str(project / 'tiny.py'))
    config.model.predict_with = branch or 'night'
    model = load_segmentor(config, str(trained_file)).cpu()
    (sample,) = predict_files(model, config, [project / _FRAME], 'Predicting')
    assert torch.equal(logits_of(trained, project / _FRAME), sample.seg_logits.data)


def test_the_branches_predict_otherwise(project, trained_file) -> None:
    trained = load_trained(trained_file, device='cpu')
    by_night = logits_of(trained, project / _FRAME)
    trained.predict_with('day')
    assert not torch.equal(by_night, logits_of(trained, project / _FRAME))
    trained.predict_with(None)
    assert trained.branch == 'day'


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors', '.json'])
def test_an_export_predicts_as_the_training_checkpoint(
    project, trained_file, exported, suffix
) -> None:
    trained = load_trained(exported.with_suffix(suffix), device='cpu')
    whole = load_trained(trained_file, device='cpu')
    assert (trained.classes, trained.palette) == (whole.classes, whole.palette)
    assert trained.branches == () and trained.branch is None
    frame = project / _FRAME
    assert torch.equal(logits_of(trained, frame), logits_of(whole, frame))


def test_json_without_a_pipeline_keeps_the_size_of_the_image(
    project, exported, tmp_path, monkeypatch
) -> None:
    for suffix in ('.safetensors', '.json'):
        (tmp_path / f'old{suffix}').write_bytes(exported.with_suffix(suffix).read_bytes())
    facts = json.loads((tmp_path / 'old.json').read_text())
    del facts['test_pipeline']
    (tmp_path / 'old.json').write_text(json.dumps(facts))
    said: list[str] = []
    monkeypatch.setattr(trained_model, 'warn', said.append)
    trained = load_trained(tmp_path / 'old.safetensors', device='cpu')
    picture = PicturePipeline(trained.pipeline).read(project / _FRAME)
    assert tuple(picture.packed['inputs'].shape) == (3, 64, 96)
    assert said == [
        f'{tmp_path / "old.json"} names no test_pipeline: the network sees images at their own size'
    ]


def test_a_config_of_ones_own_helps_a_bare_checkpoint(project) -> None:
    config = Config.fromfile(str(project / 'tiny.py'))
    trained = load_trained(project / 'bare.pth', config, device='cpu')
    assert trained.classes == class_facts()['classes']


def refused(path, **more: object) -> str:
    with pytest.raises(UserInputError) as caught:
        load_trained(path, device='cpu', **more)
    return str(caught.value)


def test_files_that_cannot_be_used_are_one_sentence(project, exported, tmp_path) -> None:
    state = read_checkpoint(project / 'trained.pth')['state_dict']
    config = Config.fromfile(str(project / 'tiny.py'))
    bare = project / 'bare.pth'
    assert refused(bare) == (
        f"'{bare}' does not hold its config: expected a checkpoint that a training or an export of this package "
        'wrote; name the config that it was trained with, --config CONFIG'
    )
    config.test_dataloader.dataset.type = 'DatasetOfMine'
    nameless = save_trained(tmp_path / 'nameless.pth', state, config, None)
    assert refused(nameless) == (
        f"'{nameless}' names no classes: expected those of its 19 outputs, in meta.dataset_meta; name the config "
        'that it was trained with, --config CONFIG'
    )
    few = {'classes': ('road', 'sky'), 'palette': []}
    assert 'names 2 classes: expected those of its 19 outputs' in refused(
        save_trained(tmp_path / 'few.pth', state, config, few)
    )
    assert "'twilight'" in refused(project / 'trained.pth', branch='twilight')
    assert 'holds one network, so there is no branch' in refused(
        exported.with_suffix('.pth'), branch='day'
    )
    assert 'no such file' in refused(tmp_path / 'none.pth')
    alone = tmp_path / 'alone.safetensors'
    alone.write_bytes(exported.with_suffix('.safetensors').read_bytes())
    assert refused(alone).startswith(f"'{alone.with_suffix('.json')}' does not exist: expected it")
    alone.with_suffix('.json').write_text('{"model": 1')
    assert 'cannot be read' in refused(alone)
    alone.with_suffix('.json').write_text('[]')
    assert 'has no model' in refused(alone)


def test_a_device_that_is_not_there_is_one_sentence(trained_file) -> None:
    with pytest.raises(UserInputError, match=r'^--device cuda:77 cannot be used \('):
        load_trained(trained_file, device='cuda:77')


def test_nothing_in_the_config_is_called(project, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = read_checkpoint(project / 'trained.pth')['state_dict']
    text = "import os\nos.mkdir('evil')\n"
    path = save_trained(tmp_path / 'a.pth', state, text, class_facts())
    assert 'line 1 is no plain value: import os' in refused(path)
    for where in ('model', 'backbone', 'pipeline'):
        config = Config.fromfile(str(project / 'tiny.py')).to_dict()
        evil = dict(type='os.mkdir', path='evil')
        if where == 'model':
            config['model'] = evil
        elif where == 'backbone':
            config['model']['segmentor']['backbone'] = evil
        else:
            config['test_dataloader']['dataset']['pipeline'][0] = evil
        path = save_trained(tmp_path / f'{where}.pth', state, Config(config), class_facts())
        assert "is 'os.mkdir', no component of MMSegmentation or of this package" in refused(path)
    assert not (tmp_path / 'evil').exists()


def test_initial_weights_are_not_looked_for(project, tmp_path) -> None:
    state = read_checkpoint(project / 'trained.pth')['state_dict']
    config = Config.fromfile(str(project / 'tiny.py'))
    config.model.segmentor.backbone.init_cfg = dict(type='Pretrained', checkpoint='gone.pth')
    config.model.segmentor.pretrained = 'gone.pth'
    path = save_trained(tmp_path / 'a.pth', state, config, class_facts())
    assert load_trained(path, device='cpu').branch == 'night'


def test_classes_without_colours_get_some(project, tmp_path) -> None:
    state = read_checkpoint(project / 'trained.pth')['state_dict']
    config = Config.fromfile(str(project / 'tiny.py'))
    facts = dict(class_facts(), palette=None)
    trained = load_trained(save_trained(tmp_path / 'a.pth', state, config, facts), device='cpu')
    assert len(set(trained.palette)) == 19
    assert trained.palette[:2] == ((128, 0, 0), (0, 128, 0))
