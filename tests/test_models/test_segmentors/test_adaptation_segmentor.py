"""The base class with one network, with a frozen one, and beside children that are no networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint
from mmseg.registry import MODELS
from tool_project import save_checkpoint
from torch import Tensor, nn

from mmseg_ccdistill.engine.inference import load_segmentor
from mmseg_ccdistill.export.branch_export import export_files
from mmseg_ccdistill.models.segmentors import AdaptationSegmentor, CrossDomainSegmentor


class OneNetwork(AdaptationSegmentor):
    """M_n alone, beside a discriminator and a relighting net with a key that a segmentor has, too."""

    routes = {'source_day': 'night', 'target_night': 'night'}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.discriminators = nn.ModuleDict({'main': nn.Conv2d(19, 1, 4)})
        self.relight = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))

    def loss(self, inputs: dict[str, Tensor], data_samples: dict[str, list]) -> dict[str, Tensor]:
        maps = self.encode(self.night, inputs['source_day'])
        logits = self.night.decode_head(maps.head_inputs)
        labels = self.ground_truth(data_samples['source_day'])
        return self.supervised_loss(self.night, 'source_day', maps.head_inputs, logits, labels)


class WithTeacher(CrossDomainSegmentor):
    """A third network, frozen."""

    networks = ('day', 'night', 'teacher')
    frozen = ('teacher',)


for _type in (OneNetwork, WithTeacher):
    MODELS.register_module(module=_type, force=True)


@pytest.fixture
def make(segmentor_config: dict[str, Any], model_config: dict[str, Any]) -> Callable[..., Any]:
    """Builds and initialises a method around the small segmentor; seeded."""

    def built(method: type | str, seed: int = 0, **overrides: Any) -> Any:
        init_default_scope('mmseg')
        torch.manual_seed(seed)
        name = method if isinstance(method, str) else method.__name__
        preprocessor = model_config['data_preprocessor']
        config = dict(type=name, segmentor=segmentor_config, data_preprocessor=preprocessor)
        model = MODELS.build(ConfigDict(config | overrides))
        model.init_weights()
        return model

    return built


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(v, second[k]) for k, v in first.items()
    )


def test_a_method_of_one_network_has_no_other(make: Callable) -> None:
    model = make(OneNetwork)
    assert {name for name, _ in model.named_children()} == {
        'data_preprocessor', 'night', 'discriminators', 'relight',
    }  # fmt: skip
    assert model.domains == ('source_day', 'target_night') and model.exportable == ('night',)
    assert model.branch_of('source_day') is model.branch_of('target_night') is model.night


def test_a_plain_checkpoint_fills_every_network_and_nothing_else(make: Callable) -> None:
    for method in (OneNetwork, WithTeacher):
        source = make(method, seed=5).night.state_dict()
        model = make(method)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        assert not equal(source, model.night.state_dict())
        missing, unexpected = model.load_state_dict(dict(source), strict=False)
        assert not unexpected
        for name in model.networks:
            assert equal(model.network(name).state_dict(), source), name
        kept = [k for k in before if k.split('.')[0] not in model.networks]
        # torch counts a batch counter as found where a state dict has no versions
        assert set(missing) == {k for k in kept if not k.endswith('num_batches_tracked')}
        assert all(torch.equal(model.state_dict()[k], before[k]) for k in kept)


def test_keys_of_other_children_keep_their_names(make: Callable) -> None:
    """A plain segmentor saved beside a relighting net: relight.* stays relight.*."""
    other = make(OneNetwork, seed=5)
    state = {k: v for k, v in other.state_dict().items() if k.startswith('relight.')}
    state |= other.night.state_dict()
    model = make(OneNetwork)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert set(missing) == {'discriminators.main.weight', 'discriminators.main.bias'}
    assert equal(model.relight.state_dict(), other.relight.state_dict())
    stray = {**state, 'unknown.weight': torch.zeros(1)}
    assert model.load_state_dict(stray, strict=False).unexpected_keys == ['unknown.weight']


def test_a_loaded_network_is_not_initialised_again(
    make: Callable, segmentor_config: dict[str, Any]
) -> None:
    trained = make(OneNetwork, seed=5)
    model = MODELS.build(ConfigDict(type='OneNetwork', segmentor=segmentor_config))
    model.load_state_dict(trained.state_dict())
    model.init_weights()
    assert equal(model.state_dict(), trained.state_dict())


@pytest.mark.parametrize('method', [OneNetwork, WithTeacher])
def test_a_whole_checkpoint_comes_back(make: Callable, tmp_path: Path, method: type) -> None:
    trained, model = make(method, seed=5), make(method)
    save_checkpoint(tmp_path / 'a.pth', trained.state_dict())
    load_checkpoint(model, str(tmp_path / 'a.pth'), map_location='cpu', strict=True)
    assert equal(model.state_dict(), trained.state_dict())


@pytest.mark.parametrize(
    'settings',
    [
        {},
        dict(paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0)))),
        dict(
            constructor='BranchwiseOptimWrapperConstructor',
            paramwise_cfg=dict(constructor='DefaultOptimWrapperConstructor', norm_decay_mult=0.0),
        ),
    ],
)
def test_a_frozen_network_is_in_no_optimizer(make: Callable, settings: dict[str, Any]) -> None:
    model = make(WithTeacher)
    config = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, weight_decay=0.5))
    wrapper = build_optim_wrapper(model, ConfigDict(config | settings))
    held = {id(p) for group in wrapper.optimizer.param_groups for p in group['params']}
    weights = model.teacher.state_dict(keep_vars=True)
    assert not held & {id(value) for value in weights.values()}
    assert held == {id(p) for n in ('day', 'night') for p in model.network(n).parameters()}
    assert not any(value.requires_grad for value in weights.values())


def test_a_frozen_network_stays_in_evaluation_mode_and_starts_equal(make: Callable) -> None:
    model = make(WithTeacher)
    for mode in (True, False, True):
        assert model.train(mode) is model
        assert not any(m.training for m in model.teacher.modules())
        assert all(m.training is mode for m in model.night.modules())
    assert equal(model.teacher.state_dict(), model.night.state_dict())
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = model.teacher(image)
        model.night.eval()
        assert torch.equal(before, model.night(image))


def test_predict_with_takes_any_network(make: Callable) -> None:
    model = make(WithTeacher, predict_with='teacher').eval()
    assert model.predictor is model.teacher
    with pytest.raises(ValueError) as caught:
        make(OneNetwork, predict_with='day')
    assert "predict_with must be one of ('night',), got 'day'." in str(caught.value)


def test_a_frozen_network_is_not_exported(make: Callable) -> None:
    model = make(WithTeacher)
    _, left = model.export_branch('night')
    assert {key.split('.')[0] for key in left} == {'day', 'teacher'}
    with pytest.raises(ValueError) as caught:
        model.export_branch('teacher')
    assert str(caught.value) == (
        "the network of WithTeacher to export must be one of ('day', 'night'), got 'teacher'."
    )


def run_config(segmentor: dict[str, Any], preprocessor: dict[str, Any], method: str) -> Config:
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    dataset = dict(type='CityscapesDataset', pipeline=pipeline)
    model = dict(type=method, segmentor=segmentor, data_preprocessor=preprocessor)
    return Config(dict(model=model, test_dataloader=dict(dataset=dataset), default_scope='mmseg'))


def test_a_run_of_one_network_is_loaded_and_exported(
    make: Callable, tmp_path: Path, segmentor_config: dict[str, Any], model_config: dict[str, Any]
) -> None:
    trained = make(OneNetwork, seed=5)
    path = tmp_path / 'iter_2.pth'
    save_checkpoint(path, trained.state_dict())
    config = run_config(segmentor_config, model_config['data_preprocessor'], 'OneNetwork')
    assert equal(load_segmentor(config, str(path)).state_dict(), trained.state_dict())
    report = export_files(config, path, tmp_path / 'night')
    assert report.num_tensors == len(trained.night.state_dict())
    assert {name.split('.')[0] for name in report.left_out} == {'discriminators', 'relight'}
    with pytest.raises(ValueError) as caught:
        export_files(config, path, tmp_path / 'day', branch='day')
    assert str(caught.value) == "--branch of OneNetwork must be one of ('night',), got 'day'."


@pytest.mark.parametrize(
    ('attributes', 'sentence'),
    [
        (
            dict(networks=('night', 'day', 'night')),
            "Wrong.networks names 'night' twice, so the second would replace the first: expected a name of its own "
            "for each of ('night', 'day', 'night'); rename one.",
        ),
        (
            dict(networks=()),
            "Wrong.networks: expected a tuple of names, e.g. ('night',), got (); name each network.",
        ),
        (
            dict(networks='night'),
            "Wrong.networks: expected a tuple of names, e.g. ('night',), got 'night'; name each network.",
        ),
        (
            dict(frozen=('teacher',)),
            "Wrong.frozen must be one of ('night',), got 'teacher'.",
        ),
        (
            dict(routes={'source_day': 'day'}),
            "Wrong.routes['source_day'] must be one of ('night',), got 'day'.",
        ),
        (
            dict(routes={'source_dusk': 'night'}),
            "Wrong.routes names the domain 'source_dusk': expected some of ('source_day', 'source_night', "
            "'target_day', 'target_night'); correct it.",
        ),
    ],
)
def test_contradictions_end_at_build(
    attributes: dict[str, Any], sentence: str, segmentor_config: dict[str, Any]
) -> None:
    method = type('Wrong', (AdaptationSegmentor,), attributes)
    with pytest.raises(ValueError) as caught:
        method(ConfigDict(segmentor_config))
    assert str(caught.value) == sentence


def test_a_domain_that_the_batch_lacks_is_named(make: Callable, batch: dict[str, Any]) -> None:
    model = make(OneNetwork)
    del batch['inputs']['target_night']
    data = model.data_preprocessor(batch, True)
    with pytest.raises(ValueError) as caught:
        model(**data, mode='loss')
    assert str(caught.value) == (
        "OneNetwork reads ('source_day', 'target_night'), but the training batch has ('source_day', 'source_night', "
        "'target_day') and not 'target_night': take a dataset that returns it, or add it to "
        'train_dataloader.dataset.domains.'
    )
