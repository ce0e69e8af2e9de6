from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from tool_project import SIZE, TEST_SIZE, VAL_STEMS, make_project, save_checkpoint
from torch.nn import functional as F

from mmseg_ccdistill.engine import inference
from mmseg_ccdistill.engine.inference import load_segmentor, predict_files, unlabelled_pipeline
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.prediction.trained_model import load_trained


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp('inference'))


@pytest.fixture(autouse=True)
def project(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)


def _state(name: str) -> dict:
    return torch.load(f'{name}.pth', weights_only=True)['state_dict']


def test_weights_are_those_of_the_checkpoint_and_the_config_is_left_alone() -> None:
    config = Config.fromfile('tiny.py')
    before = config.pretty_text

    model = load_segmentor(config, 'tiny.pth')

    assert config.pretty_text == before and not model.training
    state = model.state_dict()
    for name, value in _state('tiny').items():
        assert torch.equal(state[name].cpu(), value)


def test_a_plain_checkpoint_fills_both_branches_but_not_the_head() -> None:
    config, state = Config.fromfile('tiny.py'), _state('source')
    model = load_segmentor(config, 'source.pth', ('day.', 'night.'))
    for branch in (model.day, model.night):
        assert torch.equal(branch.state_dict()['backbone.conv1.weight'].cpu(),
                           state['backbone.conv1.weight'])  # fmt: skip
    with pytest.raises(ValueError, match='lacks 4 tensors of the config, e.g. projection_head'):
        load_segmentor(config, 'source.pth', ('day.', 'night.', 'projection_head.'))


def test_nothing_stays_at_random(tmp_path) -> None:
    state = _state('source')
    del state['decode_head.conv_seg.bias']
    with pytest.raises(
        ValueError, match='lacks 1 tensors of the config, e.g. decode_head.conv_seg'
    ):
        load_segmentor(Config.fromfile('source.py'), save_checkpoint(tmp_path / 'a.pth', state))
    night = {k: v for k, v in _state('tiny').items() if k.startswith('day.')}
    with pytest.raises(ValueError, match='lacks .* tensors of the config, e.g. night.'):
        load_segmentor(Config.fromfile('tiny.py'), save_checkpoint(tmp_path / 'b.pth', night))


def test_a_checkpoint_of_another_shape_is_named_in_one_sentence(tmp_path) -> None:
    state = _state('source')
    state['decode_head.conv_seg.bias'] = torch.zeros(7)
    path = save_checkpoint(tmp_path / 'seven.pth', state)
    with pytest.raises(ValueError, match='seven.pth.* is not of this config: .*conv_seg') as raised:
        load_segmentor(Config.fromfile('source.py'), path)
    assert '\n' not in str(raised.value)


class _Harmful:
    def __reduce__(self) -> tuple:
        return Path('harm.txt').touch, ()


def test_code_in_a_checkpoint_is_not_executed(tmp_path) -> None:
    path = save_checkpoint(tmp_path / 'harmful.pth', _state('source'), hook=_Harmful())
    with pytest.raises(ValueError, match='harmful.pth'):
        load_segmentor(Config.fromfile('source.py'), path)
    assert not Path('harm.txt').exists()


def test_logits_are_upsampled_to_the_file_before_the_argmax() -> None:
    config = Config.fromfile('source.py')
    model = load_segmentor(config, 'source.pth').cpu()
    paths = [f'data/dark_zurich/rgb_anon/val/night/{stem}_rgb_anon.png' for stem in VAL_STEMS]

    samples = list(predict_files(model, config, paths, 'Predicting'))

    assert [Path(sample.img_path) for sample in samples] == [Path(path) for path in paths]
    image = cv2.resize(cv2.imread(paths[0]), TEST_SIZE, interpolation=cv2.INTER_LINEAR)
    rgb = torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1])).permute(2, 0, 1).float()
    with torch.no_grad():
        logits = model.decode_head(model.backbone((rgb[None] - 127.5) / 60))
        for width, height in (TEST_SIZE, SIZE):
            logits = F.interpolate(logits, (height, width), mode='bilinear', align_corners=True)
    torch.testing.assert_close(samples[0].seg_logits.data, logits[0], atol=1e-4, rtol=1e-4)
    assert torch.equal(samples[0].pred_sem_seg.data, samples[0].seg_logits.data.argmax(0, True))


def test_the_pipeline_needs_no_labels() -> None:
    pipeline = unlabelled_pipeline(Config.fromfile('tiny.py'))
    assert not re.search('LoadAnnotations', repr(pipeline))
    with pytest.raises(ValueError, match='no test_dataloader.dataset.pipeline'):
        unlabelled_pipeline(Config(dict(test_dataloader=None)))


def test_a_device_that_is_named_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accelerator is not even asked for."""

    def never() -> str:
        raise AssertionError('the accelerator is left alone')

    monkeypatch.setattr(inference, 'get_device', never)
    config = Config.fromfile('tiny.py')
    for device in ('cpu', torch.device('cpu')):
        model = load_segmentor(config, 'tiny.pth', device=device)
        assert {value.device.type for value in model.state_dict().values()} == {'cpu'}
    assert load_trained('tiny.pth', config, device='cpu').device.type == 'cpu'


def test_without_a_device_the_accelerator_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, 'get_device', lambda: 'meta')
    model = load_segmentor(Config.fromfile('source.py'), 'source.pth')
    assert {value.device.type for value in model.parameters()} == {'meta'}


def test_a_wrong_device_is_named_before_the_model_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError('nothing is built')

    monkeypatch.setattr(inference, 'init_model', never)
    for device in ('cuda:77', 'gpu'):
        with pytest.raises(UserInputError, match=f'^--device {device} cannot be used'):
            load_trained('tiny.pth', Config.fromfile('tiny.py'), device=device)
