"""Batches that a config's own loader would give, without files: its domains, labels, sizes, parts and transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmseg.registry import TRANSFORMS
from torch.utils.data import DataLoader

from benchmarks.gpu.batches import make_image, pack
from benchmarks.gpu.settings import Settings
from mmseg_ccdistill.datasets.domain_flow import plan_flow, run_flow
from mmseg_ccdistill.datasets.mixed import PART_KEY, choose_image
from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.runtime.random_state import seeded


def make_config_batches(config: Config, settings: Settings, count: int) -> list[dict[str, Any]]:
    """Batches for the training of a config, always the same ones.

    Cross-domain samples go through the config's own transforms of the whole sample (``LABTransfer``, ``DrawMixing``).

    Args:
        config: Config with ``train_dataloader``.
        settings: Of the run; a tiny one takes its ``side`` and at most 2 samples in place of the config's sizes.
        count: Number of batches.

    Returns:
        ``inputs`` and ``data_samples``, each by domain where the config's are.

    Raises:
        ValueError: If the dataset is of a type that is not known here.
    """
    loader = config.train_dataloader
    draws = dict(
        CrossDomainDataset=_cross_domain_sample,
        MixedDataset=_mixed_sample,
        DrawnDataset=_plain_sample,
    )
    if loader.dataset.type not in draws:
        raise ValueError(
            f'train_dataloader.dataset is a {loader.dataset.type}: expected one of {sorted(draws)}, which the '
            'benchmark can stand in for.'
        )
    size = min(loader.batch_size, 2) if settings.tiny else loader.batch_size
    generator = torch.Generator().manual_seed(0)
    samples: Any = []  # a list serves as a data set
    for number in range(count * size):
        with seeded(np.random.SeedSequence(0, spawn_key=(number,))):
            samples.append(draws[loader.dataset.type](loader.dataset, settings, generator, number))
    pin = settings.cuda and loader.get('pin_memory', False)
    return list(DataLoader(samples, size, collate_fn=pseudo_collate, pin_memory=pin))


def crop_of(dataset: ConfigDict, settings: Settings) -> tuple[int, int]:
    """Height and width of the images of a data set, or of the first of its parts; the side of the run if that is tiny.

    Raises:
        ValueError: If the pipeline has no step that sets them.
    """
    if settings.tiny:
        return settings.side, settings.side
    while 'pipeline' not in dataset:  # of several sets, in one batch, all images have one size
        dataset = dataset.datasets[0] if 'datasets' in dataset else dataset.dataset
    for step in reversed(dataset.pipeline):
        if step.type == 'RandomCrop':
            height, width = step.crop_size
            return height, width
        if step.type == 'Resize' and not step.get('keep_ratio', False):
            width, height = step.scale
            return height, width
    raise ValueError(
        'a training pipeline has no RandomCrop and no Resize: expected images of one size.'
    )


def _cross_domain_sample(
    dataset: ConfigDict, settings: Settings, generator: torch.Generator, number: int
) -> dict[str, Any]:
    """The domains that the config names, the sources labelled, the night if it has pseudo labels, all for an oracle."""
    transforms = [TRANSFORMS.build(step) for step in dataset.pipeline]
    decoded, steps = plan_flow(transforms, dataset.get('domains') or DOMAINS)
    labelled = {'source_day', 'source_night'}
    if dataset.target.get('night_label_dir'):
        labelled.add('target_night')
    if dataset.target.type == 'LabelledPairs':
        labelled = set(DOMAINS)
    results: dict[str, Any] = {}
    for domain in DOMAINS:
        if domain not in decoded:
            continue
        role, _, light = domain.partition('_')
        size = crop_of(dataset[role], settings)
        image, labels = make_image(generator, size, dark=light == 'night')
        results[domain] = dict(img_path='none.png', img=image.permute(1, 2, 0).numpy())
        results[domain].update(img_shape=size, ori_shape=size, seg_fields=[])
        if domain in labelled:
            results[domain].update(gt_seg_map=labels[0].numpy(), seg_fields=['gt_seg_map'])
    return run_flow(steps, results)


def _mixed_sample(
    dataset: ConfigDict, settings: Settings, generator: torch.Generator, number: int
) -> dict[str, Any]:
    """A labelled image of the part that this draw has."""
    shares = [part.share for part in dataset.parts]
    part = dataset.parts[choose_image(shares, [1] * len(shares), 0, number)[0]]
    sample = _labelled(part.dataset, settings, generator, dark=part.name == 'night')
    sample['data_samples'].set_metainfo({PART_KEY: part.name})
    return sample


def _plain_sample(
    dataset: ConfigDict, settings: Settings, generator: torch.Generator, number: int
) -> dict[str, Any]:
    """A labelled day."""
    return _labelled(dataset.dataset, settings, generator, dark=False)


def _labelled(
    dataset: ConfigDict, settings: Settings, generator: torch.Generator, dark: bool
) -> dict[str, Any]:
    return pack(*make_image(generator, crop_of(dataset, settings), dark))
