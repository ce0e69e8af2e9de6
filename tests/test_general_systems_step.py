"""Every config of the general systems makes a training step at full size, on the meta device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lite_package import skip_unless_buildable
from meta_device import meta_device
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_ccdistill  # noqa: F401

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
