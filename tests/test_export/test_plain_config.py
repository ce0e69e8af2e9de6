from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from adaptation_run import REFINENET, SEGFORMER, run_config
from mmengine.config import Config
from mmseg.registry import METRICS, MODELS, TRANSFORMS

from mmseg_ccdistill.export.plain_config import components_from_package, plain_config


def test_a_stock_model_needs_mmseg_alone() -> None:
    config = run_config(SEGFORMER)
    before = copy.deepcopy(config.to_dict())
    plain = plain_config(config)
    assert config.to_dict() == before
    assert plain.model.type == 'EncoderDecoder' and 'custom_imports' not in plain
    assert components_from_package(plain.to_dict()) == []
    assert plain.model.decode_head.loss_decode == [dict(type='CrossEntropyLoss', loss_weight=1.0)]
    assert plain.model.auxiliary_head.loss_decode == dict(type='CrossEntropyLoss', loss_weight=0.4)
    preprocessor = before['model']['data_preprocessor']
    assert plain.model.data_preprocessor == dict(preprocessor, type='SegDataPreProcessor')
    assert plain.model.test_cfg == SEGFORMER['test_cfg']


@pytest.mark.parametrize(
    ('name', 'needed'),
    [
        ('refinenet_r101_cs2dz', ['RefineNetHead']),
        ('refinenet_r50_cs2dz', ['RefineNetHead']),
        ('deeplabv2_r101_cs2dz', ['DeepLabV2Head', 'DeepLabV2ResNet']),
        ('dinov2_vit-l_rein_cs2dz', ['PerPixelHead', 'ReinVisionTransformer']),
        ('segformer_mit-b2_cs2dz', []),
        ('segformer_mit-b5_cs2dz', []),
        ('upernet_swin-b_cs2dz', []),
    ],
)
def test_which_shipped_models_need_the_package(
    repository_root: Path, name: str, needed: list[str]
) -> None:
    """The table of docs/deploy.md."""
    config = Config.fromfile(str(repository_root / 'configs/ccdistill' / f'{name}.py'))
    plain = plain_config(config)
    assert components_from_package([plain.model, plain.test_pipeline]) == needed
    table = (repository_root / 'docs/deploy.md').read_text()
    line = next(line for line in table.splitlines() if f'{name.partition("_")[0]}_*' in line)
    assert all(component in line for component in needed) and ('nothing' in line) == (not needed)


def test_where_the_corners_of_the_logits_lie_is_written(repository_root: Path) -> None:
    """RefineNet's head has them aligned by default, SegFormer's says so."""
    for name, corners in (('refinenet_r101', True), ('segformer_mit-b2', False)):
        file = repository_root / 'configs/ccdistill' / f'{name}_cs2dz.py'
        config = Config.fromfile(str(file))
        plain = plain_config(config)
        assert plain.model.decode_head.align_corners is corners
        assert MODELS.build(plain.model).align_corners is corners
        head = config.model.segmentor.decode_head
        head.align_corners = not corners
        assert plain_config(config).model.decode_head.align_corners is not corners


def test_initial_weights_and_training_are_left_out() -> None:
    config = run_config(SEGFORMER)
    config.model.segmentor.pretrained = 'nowhere/segformer.pth'
    plain = plain_config(config)
    text = plain.pretty_text
    assert 'nowhere' not in text and 'init_cfg' not in text and 'pretrained' not in text
    assert not {'train_dataloader', 'train_cfg', 'optim_wrapper', 'custom_hooks'} & set(plain)
    assert list(plain.default_hooks) == ['visualization'] and plain.load_from is None


def test_a_refinenet_needs_the_package() -> None:
    plain = plain_config(run_config(REFINENET))
    assert components_from_package(plain.to_dict()) == ['RefineNetHead']
    assert plain.custom_imports == dict(imports=['mmseg_ccdistill'], allow_failed_imports=False)


def test_the_config_is_self_contained(tmp_path: Path) -> None:
    plain = plain_config(run_config(SEGFORMER))
    path = tmp_path / 'night.py'
    plain.dump(str(path))
    assert '_base_' not in path.read_text()
    assert Config.fromfile(str(path)).to_dict() == plain.to_dict()
    dataset = plain.test_dataloader.dataset
    assert dataset.type == 'DarkZurichDataset' and plain.test_evaluator.type == 'IoUMetric'
    assert plain.test_pipeline == dataset.pipeline


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric and a transform as if this package had registered them."""
    for registry, name in ((METRICS, 'OurMetric'), (TRANSFORMS, 'OurTransform')):
        component = type(name, (), {'__module__': 'mmseg_ccdistill.ours'})
        monkeypatch.setitem(registry._module_dict, name, component)


@pytest.mark.usefixtures('ours')
def test_testing_alone_makes_the_import_optional() -> None:
    config = run_config(SEGFORMER)
    config.test_evaluator.type = 'mmseg.OurMetric'
    plain = plain_config(config)
    assert plain.custom_imports == dict(imports=['mmseg_ccdistill'], allow_failed_imports=True)


@pytest.mark.usefixtures('ours')
def test_a_transform_of_the_test_pipeline_is_inference() -> None:
    config = run_config(SEGFORMER)
    config.test_dataloader.dataset.pipeline.insert(1, dict(type='OurTransform'))
    plain = plain_config(config)
    assert plain.custom_imports == dict(imports=['mmseg_ccdistill'], allow_failed_imports=False)


@pytest.mark.parametrize('imports', ['my_heads', ['my_heads', 'mmseg_ccdistill.models']])
def test_imports_of_the_users_own_are_kept(imports: Any) -> None:
    config = run_config(SEGFORMER)
    config.custom_imports = dict(imports=imports, allow_failed_imports=False)
    assert plain_config(config).custom_imports == dict(
        imports=['my_heads'], allow_failed_imports=False
    )


def test_the_models_test_settings_win() -> None:
    config = run_config(SEGFORMER)
    config.model.test_cfg = dict(mode='whole')
    assert plain_config(config).model.test_cfg == dict(mode='whole')


def test_the_pipeline_of_a_wrapped_dataset_is_found() -> None:
    config = run_config(SEGFORMER)
    inner = config.test_dataloader.dataset
    config.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[inner, inner])
    config.pop('test_pipeline')
    assert plain_config(config).test_pipeline == inner.pipeline


def test_what_cannot_be_exported_is_named() -> None:
    with pytest.raises(ValueError, match='no model.segmentor'):
        plain_config(Config(dict(model=dict(type='EncoderDecoder'))))
    config = run_config(SEGFORMER)
    config.pop('test_dataloader')
    config.pop('test_pipeline')
    with pytest.raises(ValueError, match='no test pipeline'):
        plain_config(config)
