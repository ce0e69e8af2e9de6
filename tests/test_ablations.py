"""Table 3: every row's config changes its own terms alone at iteration 0, and trains on two processes."""

from __future__ import annotations

import functools
import math
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from two_ranks import run_two_ranks

import mmseg_ccdistill  # noqa: F401
from benchmarks.shrink import SIDE, shrink

CONFIGS = Path(__file__).resolve().parents[1] / 'configs/ccdistill'
FULL = CONFIGS / 'refinenet_r101_cs2dz.py'
CDC = {'cross.loss_cdc_js', 'cross.loss_cdc_illu', 'cross.loss_cdc_in'}

#: The row of Table 3, by the end of the config's name: terms that are gone, terms whose value changes.
ROWS: dict[str, tuple[set[str], set[str]]] = {
    'wo-cdc': (CDC, set()),
    'wo-projection-head': (set(), CDC),
    'wo-js': ({'cross.loss_cdc_js'}, set()),
    'wo-illuminance': ({'cross.loss_cdc_illu'}, set()),
    'wo-inherent': ({'cross.loss_cdc_in'}, set()),
    'wo-cds': ({'cross.loss_cds'}, set()),
    # All terms that S_n enters; the pseudo labels come from T_d, and are learnt on T_n.
    'wo-lab': (set(), {'source_night.loss_seg', 'cross.loss_cds', *CDC}),
    'wo-cdc-cds': ({'cross.loss_cds', *CDC}, set()),
}


#: The paper's projection head, and the standardised one: what `--cfg-options` sets.
HEADS: dict[str, dict[str, Any]] = {
    'paper': {},
    'standardized': {'model.projection_head.embedding_norm': 'standardize'},
}

#: The full config and its variants, which are not rows of Table 3: the other reading of lambda, and what is not of the
#: paper.
VARIANTS = {
    'full': FULL.name,
    **{name: f'{FULL.stem}_{name}.py' for name in ('reverse-js', 'standardized', 'matched')},
}


def path_of(row: str) -> Path:
    if row in VARIANTS:
        return CONFIGS / VARIANTS[row]
    return CONFIGS / f'ablations/refinenet_r101_cs2dz_{row}.py'


def crop(seed: int, gain: float = 1.0) -> np.ndarray:
    """A smooth colour image ``(SIDE, SIDE, 3)``."""
    noise = np.random.RandomState(seed).randint(0, 256, (SIDE // 8, SIDE // 8, 3))
    image = cv2.resize(noise.astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return (image * gain).astype(np.uint8)


def batch_of(cfg: Config, seed: int = 0) -> dict[str, Any]:
    """Two samples after the crops, finished by the row's own pipeline (LAB transfer or its absence)."""
    pipeline = Compose(cfg.train_dataloader.dataset.pipeline)
    samples = []
    for index in range(seed, seed + 2):
        label = np.random.RandomState(index).randint(0, 19, (8, 8)).astype(np.uint8)
        domains = {
            'source_day': dict(
                img=crop(3 * index), gt_seg_map=np.kron(label, np.ones((8, 8), int))
            ),
            'target_day': dict(img=crop(3 * index + 1)),
            'target_night': dict(img=crop(3 * index + 2, 0.2)),
        }
        for results in domains.values():
            results.update(
                img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE), seg_fields=['gt_seg_map']
            )
        samples.append(pipeline(domains))
    return pseudo_collate(samples)


def first_terms(path: Path, head: str = 'paper') -> dict[str, float]:
    """Loss terms of a row at iteration 0, dropout included, from the weights that seed 0 gives."""
    init_default_scope('mmseg')
    cfg = shrink(Config.fromfile(str(path)))
    if cfg.model.projection_head is not None:
        cfg.merge_from_dict(HEADS[head])
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    model.init_weights()
    torch.manual_seed(1)
    losses = model(**model.data_preprocessor(batch_of(cfg), True), mode='loss')
    return {key: value.item() for key, value in losses.items() if 'loss' in key}


@functools.cache
def full_terms(head: str) -> dict[str, float]:
    return first_terms(FULL, head)


def test_every_row_of_table_3_has_a_config() -> None:
    """Two rows need none: "RefineNet" is the source-only stage, "Ours" the full config."""
    stem = f'{FULL.stem}_'
    found = {p.stem.removeprefix(stem) for p in (CONFIGS / 'ablations').glob(f'{stem}*.py')}
    assert found == set(ROWS)
    for row in ROWS:
        lines = [line for line in path_of(row).read_text().splitlines() if line.strip()]
        assert 3 <= len(lines) <= 10
        assert Config.fromfile(str(path_of(row))).load_from == Config.fromfile(str(FULL)).load_from


@pytest.mark.parametrize('head', HEADS)
@pytest.mark.parametrize('row', ROWS)
def test_each_row_changes_only_its_own_terms(row: str, head: str) -> None:
    """Bit-equal elsewhere: same seed, same weights, same dropout draws."""
    gone, moved = ROWS[row]
    full, ablated = full_terms(head), first_terms(path_of(row), head)
    assert set(full) - set(ablated) == gone and set(ablated) <= set(full)
    assert {key for key, value in ablated.items() if value != full[key]} == moved
    assert all(math.isfinite(value) for value in ablated.values())


def test_the_full_config_has_the_head_of_the_paper() -> None:
    """Two 1x1 convolutions with a ReLU between them, then l2 normalisation, and nothing else."""
    model = Config.fromfile(str(FULL)).model
    assert model.projection_head == dict(type='ProjectionHead', in_channels=2048)
    names = sorted(path.stem for path in CONFIGS.glob('*.py'))
    own = [name for name in names if name.endswith(('_standardized', '_matched', '_plus'))]
    for name in names:
        head = Config.fromfile(str(CONFIGS / f'{name}.py')).model.projection_head
        if head is None:  # without terms between domains, so no head
            assert name in ('segformer_mit-b2_cs2dz_plus', 'segformer_mit-b5_cs2dz_plus')
        else:
            assert (head.get('embedding_norm') is not None) == (name in own), name


def test_the_standardized_config_is_the_full_one_with_that_option() -> None:
    paper, standardized = full_terms('paper'), full_terms('standardized')
    assert first_terms(path_of('standardized')) == standardized
    assert {key for key, value in paper.items() if value != standardized[key]} == CDC


def test_the_other_reading_of_lambda_changes_the_weights_of_eq_1_alone() -> None:
    """Eq. 1 as printed: attraction 4, repulsion 1. The sentence on "reverse JS": attraction 1, repulsion 4."""
    paper, reverse = full_terms('paper'), first_terms(path_of('reverse-js'))
    assert {key for key, value in paper.items() if value != reverse[key]} == {'cross.loss_cdc_js'}
    model = Config.fromfile(str(path_of('reverse-js'))).model
    weights = (model.loss_cdc.attraction_weight, model.loss_cdc.repulsion_weight)
    assert weights == (1.0, 4.0)


def test_without_lab_the_source_night_is_the_source_day() -> None:
    images = batch_of(Config.fromfile(str(path_of('wo-lab'))))['inputs']
    for day, night in zip(images['source_day'], images['source_night'], strict=True):
        assert torch.equal(day, night)
    images = batch_of(Config.fromfile(str(FULL)))['inputs']
    assert images['source_night'][0].float().mean() < 0.5 * images['source_day'][0].float().mean()


def _two_steps(rank: int, rows: list[str], rendezvous: str, out: str) -> None:
    """One of two processes: two optimizer steps of every row on this rank's own samples."""
    os.environ['OMP_NUM_THREADS'] = '1'
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{rendezvous}', rank=rank, world_size=2)
    init_default_scope('mmseg')
    sums = {}
    for row in rows:
        cfg = shrink(Config.fromfile(str(path_of(row))))
        torch.manual_seed(0)
        inner = MODELS.build(cfg.model)
        inner.init_weights()
        before = [parameter.detach().clone() for parameter in inner.parameters()]
        model = MMDistributedDataParallel(inner, device_ids=None)
        optim = build_optim_wrapper(model, cfg.optim_wrapper)
        for step in range(2):  # the second step fails if a parameter had no gradient in the first
            log = model.train_step(batch_of(cfg, seed=10 * rank + 2 * step), optim)
            assert torch.isfinite(torch.stack([log[key].detach() for key in log])).all(), (row, log)
        after = [parameter.detach() for parameter in inner.parameters()]
        assert all(torch.isfinite(parameter).all() for parameter in after), row
        assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True)), row
        sums[row] = torch.stack([parameter.double().abs().sum() for parameter in after])
    torch.save(sums, f'{out}/{rank}.pt')
    dist.destroy_process_group()


def test_two_ddp_steps_of_every_row(tmp_path: Path) -> None:
    """Every parameter moves, and the two ranks, which saw different samples, end with equal weights."""
    rows = [*VARIANTS, *ROWS]
    run_two_ranks(_two_steps, rows, str(tmp_path / 'rendezvous'), str(tmp_path))
    first, second = (torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in (0, 1))
    assert list(first) == rows
    for row in rows:
        assert torch.equal(first[row], second[row]), row
