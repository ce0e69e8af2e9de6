from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from adaptation_run import REFINENET, SEGFORMER, build, run_config, save
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.datasets import CityscapesDataset
from mmseg.registry import MODELS
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mmseg_ccdistill.export import branch_export
from mmseg_ccdistill.export.branch_export import (
    ExportMismatchError,
    class_meta,
    compare_logits,
    export_files,
    load_branch,
    load_plain,
    output_files,
)
from mmseg_ccdistill.export.plain_config import plain_config

CLASSES = list(CityscapesDataset.METAINFO['classes'])


class Operations(TorchDispatchMode):
    """Records every operation with the shapes of its tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls.append(
            (str(func), [tuple(a.shape) for a in args if isinstance(a, torch.Tensor)])
        )
        return func(*args, **(kwargs or {}))


def cost(model: torch.nn.Module, image: torch.Tensor) -> tuple[int, list[tuple]]:
    """FLOPs and operations of a prediction's network part."""
    flops, operations = FlopCounterMode(display=False), Operations()
    with torch.no_grad(), flops, operations:
        model.eval()(image)
    return flops.get_total_flops(), operations.calls


def test_the_exported_network_costs_what_the_source_only_one_costs(repository_root: Path) -> None:
    """RefineNet-R101 without memory: 712 tensors, 118.05 M parameters, 525.6 GFLOP at 512 x 512.

    The other side is the model of the source-only config, built by mmseg as it stands. Equal
    operations on equal shapes are equal time.
    """
    configs = repository_root / 'configs'
    init_default_scope('mmseg')
    adapted = Config.fromfile(str(configs / 'ccdistill/refinenet_r101_cs2dz.py'))
    source = Config.fromfile(str(configs / 'refinenet/refinenet_r101_cityscapes.py'))
    with torch.device('meta'):
        exported = MODELS.build(plain_config(adapted).model)
        stock = MODELS.build(source.model)
        image = torch.empty(1, 3, 512, 512)
    names = list(exported.state_dict())
    assert names == list(stock.state_dict()) and len(names) == 712
    assert not any(name.startswith(('day.', 'night.', 'projection_head')) for name in names)
    assert sum(p.numel() for p in exported.parameters()) == 118_047_827
    flops, operations = cost(exported, image)
    assert flops == pytest.approx(525.647e9, rel=1e-6)
    assert (flops, operations) == cost(stock, image)


@pytest.mark.parametrize('segmentor', [REFINENET, SEGFORMER], ids=['refinenet', 'segformer'])
@pytest.mark.parametrize('branch', ['night', 'day'])
def test_what_is_written_is_the_branch(segmentor: Any, branch: str, tmp_path: Path) -> None:
    config = run_config(segmentor)
    model = build(config)
    save(model, tmp_path / 'iter_2.pth')
    steps: list[str] = []

    report = export_files(
        config, tmp_path / 'iter_2.pth', tmp_path / 'new/m.pth', branch, on_step=steps.append
    )

    assert steps == list(branch_export.STEPS)
    assert sorted(path.name for path in (tmp_path / 'new').iterdir()) == ['m.pth', 'm.py']
    saved = torch.load(report.checkpoint, weights_only=True)
    assert saved['meta']['dataset_meta']['classes'] == CLASSES
    twin = getattr(model, branch)
    assert list(saved['state_dict']) == list(twin.state_dict())
    assert report.num_tensors + len(report.left_out) == len(model.state_dict())
    assert report.num_parameters == sum(p.numel() for p in twin.parameters())
    assert report.components == (['RefineNetHead'] if segmentor is REFINENET else [])
    plain = load_plain(report.checkpoint, report.config).eval()
    other = model.day if branch == 'night' else model.night
    image = torch.randn(1, 3, 70, 94)
    assert torch.equal(plain(image), twin(image)) and not torch.equal(plain(image), other(image))
    assert cost(plain, image) == cost(twin, image)


def test_reweighting_at_test_time_stays_behind(tmp_path: Path) -> None:
    """The files hold the branch; the report says that the run multiplies its logits and they do not."""
    config = run_config(REFINENET)
    config.model.test_reweight_std = 0.16
    model = build(config)
    save(model, tmp_path / 'iter_2.pth')
    report = export_files(config, tmp_path / 'iter_2.pth', tmp_path / 'm')
    assert report.is_reweighted
    plain = load_plain(report.checkpoint, report.config).eval()
    image = torch.randn(1, 3, 70, 94)
    assert torch.equal(plain(image), model.night(image))
    config.model.test_reweight_std = None
    assert not export_files(config, tmp_path / 'iter_2.pth', tmp_path / 'n').is_reweighted


def test_one_bit_is_noticed() -> None:
    config = run_config(REFINENET)
    model = build(config)
    plain = MODELS.build(plain_config(config).model)
    plain.load_state_dict(model.night.state_dict())
    compare_logits(model, 'night', plain)
    with pytest.raises(ExportMismatchError, match='differ from those of day by up to'):
        compare_logits(model, 'day', plain)
    bias = plain.decode_head.conv_seg.bias
    with torch.no_grad():
        bias.copy_(torch.nextafter(bias, bias + 1))
    with pytest.raises(ExportMismatchError, match='differ from those of night'):
        compare_logits(model, 'night', plain)
    with torch.no_grad():
        model.night.decode_head.conv_seg.bias.fill_(float('nan'))
    with pytest.raises(ValueError, match='not finite'):
        compare_logits(model, 'night', plain)


def test_a_mismatch_leaves_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = run_config(REFINENET)
    save(build(config), tmp_path / 'iter_2.pth')
    write = branch_export.write_checkpoint

    def write_rounded(path: Path, state: dict[str, torch.Tensor], *rest: Any) -> None:
        for value in state.values():
            if value.is_floating_point():
                value.copy_(value.half())
        write(path, state, *rest)

    monkeypatch.setattr(branch_export, 'write_checkpoint', write_rounded)
    monkeypatch.setattr(
        branch_export.AdaptationSegmentor,
        'export_branch',
        lambda model, name: ({k: v.clone() for k, v in model.night.state_dict().items()}, []),
    )
    with pytest.raises(ExportMismatchError):
        export_files(config, tmp_path / 'iter_2.pth', tmp_path / 'new/m')
    assert list((tmp_path / 'new').iterdir()) == []


def test_a_checkpoint_of_something_else_is_named(tmp_path: Path) -> None:
    model = build(run_config(REFINENET))
    path = tmp_path / 'iter_2.pth'
    state = model.state_dict()

    def refused(state: Any, message: str, target: Any = model) -> None:
        with pytest.raises(ValueError, match=message) as caught:
            load_branch(target, 'night', state, path)
        assert '\n' not in str(caught.value)

    refused(
        model.night.state_dict(), r'iter_2.pth: no tensor is named night\.\*, .*plain segmentor'
    )
    refused(state, 'builds EncoderDecoder, which has no branches', model.night)
    wide = {name: value.repeat([2] * value.ndim) for name, value in state.items()}
    refused(wide, 'iter_2.pth: .*another width')
    name = 'night.decode_head.conv_seg.bias'
    refused({k: v for k, v in state.items() if k != name}, r'1 missing \(decode_head.conv_seg.bias')
    refused({**state, 'night.neck.w': torch.ones(1)}, r'1 unknown \(neck.w\)')
    refused({**state, name: torch.ones(3)}, r'1 of another shape \(decode_head.conv_seg.bias')


def test_classes_come_from_the_run_or_the_test_set() -> None:
    config = run_config(REFINENET)
    given = dict(classes=('a', 'b'), palette=[(1, 2, 3), (4, 5, 6)], label_map=None)
    expected = dict(classes=['a', 'b'], palette=[[1, 2, 3], [4, 5, 6]])
    assert class_meta(dict(dataset_meta=given), config, 2) == expected
    assert class_meta({}, config, 19)['classes'] == CLASSES
    config.test_dataloader.dataset.metainfo = dict(classes=['x'], palette=[[0, 0, 0]])
    assert class_meta({}, config, 1) == dict(classes=['x'], palette=[[0, 0, 0]])
    with pytest.raises(ValueError, match='19 classes, .* names 1;'):
        class_meta({}, config, 19)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    expected = (tmp_path / 'v1.2.pth', tmp_path / 'v1.2.py')
    for name in ('v1.2', 'v1.2.pth', 'v1.2.py'):
        assert output_files(tmp_path / name, False) == expected
    expected[1].write_text('precious')
    with pytest.raises(ValueError, match=r'v1\.2\.py exists: .*--force'):
        output_files(tmp_path / 'v1.2', False)
    assert output_files(tmp_path / 'v1.2', True) == expected
    with pytest.raises(ValueError, match='is a folder'):
        output_files(tmp_path, False)
