"""Every config of the general systems makes a training step at full size, on the meta device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lite_package import skip_unless_buildable
from meta_device import meta_device
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample

import mmseg_ccdistill  # noqa: F401
from benchmarks.forked_training import make_data

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
FILES = [
    path
    for folder in ('adaptsegnet', 'advent', 'udaclustering')
    for path in sorted((CONFIGS / folder).glob('*.py'))
]


@pytest.mark.parametrize(
    'path',
    [pytest.param(path, marks=pytest.mark.slow if 'r101' in path.name else ()) for path in FILES],
    ids=lambda path: f'{path.parent.name}/{path.stem}',
)
def test_a_step(path: Path) -> None:
    """Each domain at its size; all that is trained gets a gradient and is in one optimizer once; no value is read."""
    config = Config.fromfile(str(path))
    skip_unless_buildable(config.model)
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model).to('meta').train()
    sizes = {domain: config.crop_size for domain in model.domains}
    if config.crop_size is None:  # width and height of whole images
        whole = (config.released_source_size, config.released_target_size)
        sizes = {d: s[::-1] for d, s in zip(model.domains, whole, strict=True)}
    batch = config.train_dataloader.batch_size
    inputs = {d: torch.empty(batch, 3, *size, device='meta') for d, size in sizes.items()}
    samples = {d: [SegDataSample() for _ in range(batch)] for d in model.domains}
    for sample in samples['source_day']:
        label = torch.empty(1, *sizes['source_day'], dtype=torch.uint8, device='meta')
        sample.gt_sem_seg = PixelData(data=label)
    total, _ = model.parse_losses(model(inputs, samples, mode='loss'))
    total.backward()
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    assert [name for name, p in trained if p.grad is None] == []
    groups = build_optim_wrapper(model, config.optim_wrapper).optimizer.param_groups
    held = [id(p) for group in groups for p in group['params'] if p.requires_grad]
    assert sorted(held) == sorted(id(p) for _, p in trained)


@pytest.mark.parametrize(
    'name',
    [
        'adaptsegnet/deeplabv2_r101_cs2dz_multi-level_released',
        'advent/deeplabv2_r101_cs2dz_released',
        'udaclustering/deeplabv2_r101_cs2dz_released',
    ],
)
def test_whole_images_of_two_sizes(tmp_path: Path, name: str) -> None:
    """Files to losses with the pipelines as released, at a tenth of their sizes and a narrow network."""
    config = Config.fromfile(str(CONFIGS / f'{name}.py'))
    data = make_data(tmp_path)
    dataset = config.train_dataloader.dataset
    for side, root, scale in (
        ('source', 'cityscapes', (102, 51)),
        ('target', 'dark_zurich', (96, 54)),
    ):
        dataset[side].data_root = str(data / root)
        (resize,) = [step for step in dataset[side].pipeline if step.type == 'Resize']
        resize.scale = scale
    segmentor = config.model.segmentor
    segmentor.backbone.update(base_channels=4, stem_channels=4, depth=50, init_cfg=None)
    segmentor.decode_head.in_channels = 128
    if 'auxiliary_head' in segmentor:
        segmentor.auxiliary_head.in_channels = 64
    init_default_scope('mmseg')
    model = MODELS.build(config.model)
    raw = pseudo_collate([DATASETS.build(dataset)[0]])
    batch = model.data_preprocessor(raw, True)
    assert {d: tuple(x.shape) for d, x in batch['inputs'].items()} == {
        'source_day': (1, 3, 51, 102),
        'target_night': (1, 3, 54, 96),
    }
    mean = torch.tensor([104.00698793, 116.66876762, 122.67891434]).view(1, 3, 1, 1)
    for domain, images in batch['inputs'].items():
        torch.testing.assert_close(images, raw['inputs'][domain][0].unsqueeze(0) - mean)
    total, _ = model.parse_losses(model(**batch, mode='loss'))
    total.backward()
    assert total.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
