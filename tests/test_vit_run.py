"""A shrunken config of a frozen ViT through tools/train.py: two branches with one ViT train, stop, resume, export."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.apis import init_model
from test_method_runs import ITERATIONS, STOP, data, same, train  # noqa: F401
from timm_there import needs_timm

from benchmarks.shrink import SIDE, shrink
from mmseg_ccdistill.export.branch_export import export_files
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY, load_checkpoint_file

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


@pytest.fixture(params=['dinov2', pytest.param('dinov3', marks=needs_timm)])
def config(tmp_path: Path, data: Path, request: pytest.FixtureRequest) -> Path:  # noqa: F811
    """The shipped config, narrow, on crops of a few frames of mini night, from the weights of a plain stage."""
    config = shrink(
        Config.fromfile(str(CONFIGS / f'ccdistill/{request.param}_vit-s_rein_cs2dz.py'))
    )
    dataset = config.train_dataloader.dataset
    dataset.source.data_root = str(data / 'cityscapes')
    dataset.target.data_root = str(data / 'dark_zurich')
    for step in [*dataset.source.pipeline, *dataset.target.pipeline]:
        sizes = dict(RandomResize=(128, 64), RandomCrop=(SIDE, SIDE), Resize=(SIDE, SIDE))
        if step.type in sizes:
            step['crop_size' if step.type == 'RandomCrop' else 'scale'] = sizes[step.type]
    config.train_dataloader.num_workers = 0
    config.train_dataloader.persistent_workers = False
    config.train_cfg.max_iters = config.param_scheduler[0].end = ITERATIONS
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.default_hooks.checkpoint.update(interval=STOP, max_keep_ckpts=2)
    config.load_from = str(tmp_path / 'source.pth')
    plain = init_plain(config)
    torch.save(dict(meta={OWN_KEY: '0'}, state_dict=plain.state_dict()), config.load_from)
    config.dump(str(tmp_path / 'tiny.py'))
    return tmp_path / 'tiny.py'


def init_plain(config: Config) -> torch.nn.Module:
    """A segmentor as its source-only stage would leave it."""
    torch.manual_seed(11)
    model = init_model(
        Config(dict(model=config.model.segmentor, default_scope='mmseg')), device='cpu'
    )
    model.init_weights()
    return model


def backbone_type(config: Path) -> str:
    return Config.fromfile(str(config)).model.segmentor.backbone.type


@pytest.mark.slow
def test_stopped_and_resumed_it_ends_as_the_whole_run(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(monkeypatch, config, tmp_path / 'whole')
    whole = load_checkpoint_file(tmp_path / f'whole/iter_{ITERATIONS}.pth')
    (tmp_path / 'resumed').mkdir()
    half = tmp_path / f'whole/iter_{STOP}.pth'
    half.rename(tmp_path / 'resumed' / half.name)
    (tmp_path / 'resumed/last_checkpoint').write_text(str(tmp_path / 'resumed' / half.name))
    train(monkeypatch, config, tmp_path / 'resumed', '--resume')
    resumed = load_checkpoint_file(tmp_path / f'resumed/iter_{ITERATIONS}.pth')
    for key in ('state_dict', 'optimizer', 'param_schedulers'):
        assert same(whole[key], resumed[key]), key

    state = whole['state_dict']
    start = load_checkpoint_file(tmp_path / 'source.pth')['state_dict']
    for name, value in start.items():
        held = [state[f'{branch}.{name}'] for branch in ('day', 'night')]
        if '.vit.' in name:
            assert all(torch.equal(value, other) for other in held), name
            assert held[0].data_ptr() == held[1].data_ptr(), name
        else:
            assert not torch.equal(value, held[1]), name
            assert not torch.equal(held[0], held[1]), name

    path = tmp_path / f'whole/iter_{ITERATIONS}.pth'
    report = export_files(Config.fromfile(str(config)), path, tmp_path / 'night')
    assert {name.split('.')[0] for name in report.left_out} == {'day', 'projection_head'}
    assert report.components == ['PerPixelHead', backbone_type(config)]
    exported = load_checkpoint_file(report.checkpoint)['state_dict']
    assert exported.keys() == start.keys()
    assert report.num_parameters == sum(
        v.numel() for v in exported.values() if v.is_floating_point()
    )
    model = init_model(str(report.config), str(report.checkpoint), device='cpu')
    assert model.eval()(torch.zeros(1, 3, 54, 96)).shape[:2] == (1, 19)
