"""The config of a method on the base class, small enough to be trained in a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from made_labels import make_labels
from mmengine.config import Config
from torch import Tensor

from mmseg_ccdistill.datasets import read_pair_list

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
#: The shipped config of a method; of any other one, that of AdaptSegNet with its own type.
SHIPPED = {
    'AdaptSegNetSegmentor': 'adaptsegnet/refinenet_small_mini_day2night.py',
    'AdvEntSegmentor': 'advent/refinenet_small_mini_day2night.py',
    'BDLSegmentor': 'bdl_lab/refinenet_small_mini_day2night_ssl1.py',
    'DANNetSegmentor': 'dannet/refinenet_small_mini_day2night.py',
    'MinEntSegmentor': 'advent/refinenet_small_mini_day2night_minent.py',
    'UDAClusteringSegmentor': 'udaclustering/refinenet_small_mini_day2night.py',
}
#: Iterations of a run, and of the half after which it is stopped.
ITERATIONS, STOP = 4, 2


def write_config(folder: Path, data: Path, method: str) -> Path:
    """Write the shipped config of a method with narrow layers, small crops and a few iterations.

    Args:
        folder: Where to.
        data: What ``benchmarks.forked_training.make_data`` returned.
        method: Type of the model: that of a shipped config, or another one over the segmentor of AdaptSegNet.

    Returns:
        The file, ``tiny.py``.
    """
    config = Config.fromfile(str(CONFIGS / SHIPPED.get(method, SHIPPED['AdaptSegNetSegmentor'])))
    model, dataset = config.model, config.train_dataloader.dataset
    model.data_preprocessor.size = model.segmentor.data_preprocessor.size = (32, 32)
    model.segmentor.backbone.update(base_channels=8, stem_channels=8)
    model.segmentor.decode_head.update(
        in_channels=[8, 16, 32, 64], channels=8, block_channels=(16, 8, 8, 8), dropout_ratio=0.5
    )
    if 'auxiliary_head' in model.segmentor:
        model.segmentor.auxiliary_head.in_channels = 32
    if method == 'DANNetSegmentor':
        model.segmentor.light_net.update(base_channels=4, num_blocks=1)
        model.target_size = (48, 48)
    if method not in SHIPPED:
        keys = ('data_preprocessor', 'segmentor')
        config.model = dict(type=method, **{key: model[key] for key in keys})
        config.optim_wrapper.optimizer.pop('discriminators')
    dataset.source.data_root = str(data / 'cityscapes')
    dataset.target.data_root = str(data / 'dark_zurich')
    if method == 'BDLSegmentor':
        nights = read_pair_list(str(data / 'dark_zurich/lists/zurich_dn_pair_train.csv'))
        names = [f'{night}_rgb_anon.png' for night, _ in nights]
        make_labels(folder / 'labels', names, (128, 72))
        dataset.target.update(night_label_dir=str(folder / 'labels'), night_labels_of=None)
    for step in [*dataset.source.pipeline, *dataset.target.pipeline]:
        sizes = dict(RandomResize=(128, 64), RandomCrop=(32, 32), Resize=(32, 32))
        if step.type in sizes:
            step['crop_size' if step.type == 'RandomCrop' else 'scale'] = sizes[step.type]
    config.train_cfg.max_iters = config.param_scheduler[0].end = ITERATIONS
    config.val_cfg = config.val_dataloader = config.val_evaluator = None
    config.default_hooks.checkpoint.update(interval=STOP, max_keep_ckpts=2)
    config.test_dataloader.dataset.data_root = str(data / 'dark_zurich')
    config.custom_imports.imports.append('mean_teacher')
    config.load_from = None
    config.pop('work_dir')
    config.dump(str(folder / 'tiny.py'))
    return folder / 'tiny.py'


def same(first: Any, second: Any) -> bool:
    """Tell whether two values are equal, tensors to the last bit.

    Args:
        first: Tensors, and plain values around them.
        second: Others.
    """
    if isinstance(first, Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second
