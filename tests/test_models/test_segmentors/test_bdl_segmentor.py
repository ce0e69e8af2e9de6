"""BDL-LAB: AdaptSegNet on S_n, the pseudo labels' term, which term reaches what, two processes, configs."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from meta_device import meta_device
from mmengine.config import Config, ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from output_space import OPTIM, batch, build, losses_of, parts_trained
from torch import Tensor
from torch.nn import functional
from two_ranks import run_two_ranks

import mmseg_ccdistill  # noqa: F401

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
BDL = dict(type='BDLSegmentor')
LABELLED = dict(BDL, pseudo_label_weight=1.0)


def night_batch(seed: int = 1, fill: int | None = None) -> dict[str, Any]:
    """S_n and T_n with labels, some of them 255; or all of one value."""
    data = batch(seed, 'source_night')
    generator = torch.Generator().manual_seed(100 + seed)
    for sample in data['data_samples']['target_night']:
        label = torch.randint(0, 19, (1, 64, 64), generator=generator)
        label[:, :20] = 255
        if fill is not None:
            label.fill_(fill)
        sample.gt_sem_seg = PixelData(data=label)
    return data


def as_source_day(data: dict[str, Any]) -> dict[str, Any]:
    """The same images, S_n in the place of S_d."""
    names = {'source_night': 'source_day', 'target_night': 'target_night'}
    return {key: {names[d]: value for d, value in part.items()} for key, part in data.items()}


def test_without_pseudo_labels_it_is_vanilla_adaptsegnet_on_s_n() -> None:
    """To the last bit, in training mode, labels of T_n or not."""
    form = dict(adversarial_form='vanilla', adversarial_weight=0.001)
    torch.manual_seed(3)
    theirs = losses_of(build(**form), as_source_day(batch(source='source_night')))
    for data in (batch(source='source_night'), night_batch()):
        torch.manual_seed(3)
        ours = losses_of(build(**BDL), data)
        assert {key.replace('source_night', 'source_day') for key in ours} == theirs.keys()
        for key, value in ours.items():
            assert torch.equal(value, theirs[key.replace('source_night', 'source_day')]), key


@pytest.mark.parametrize('weight', [1.0, 0.25])
def test_the_term_of_the_pseudo_labels_by_hand(weight: float) -> None:
    model = build(**dict(BDL, pseudo_label_weight=weight)).eval()
    data = model.data_preprocessor(night_batch(), True)
    losses = model(**data, mode='loss')
    logits = model.night._forward(data['inputs']['target_night'])
    logits = functional.interpolate(logits, (64, 64), mode='bilinear')
    labels = torch.cat([s.gt_sem_seg.data for s in data['data_samples']['target_night']])
    expected = weight * functional.cross_entropy(logits, labels, ignore_index=255)
    torch.testing.assert_close(losses['target_night.loss_seg'], expected)
    rest = losses_of(build(**BDL).eval(), night_batch())
    assert {key: losses[key].item() for key in rest} == {k: v.item() for k, v in rest.items()}
    assert losses.keys() - rest.keys() == {'target_night.loss_seg'}


def test_labels_of_nothing_but_255_add_nothing() -> None:
    model = build(**LABELLED)
    losses = losses_of(model, night_batch(fill=255))
    assert losses['target_night.loss_seg'].item() == 0
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_which_parts_a_term_trains() -> None:
    model = build(**LABELLED)
    losses = losses_of(model, night_batch())
    network = {'layer3', 'layer4', 'head'}
    for key in ('source_night.loss_seg', 'target_night.loss_seg', 'night.loss_adv'):
        assert parts_trained(model, losses[key]) == network, key
    assert parts_trained(model, losses['discriminators.loss']) == {'discriminator main'}


def test_bfloat16_gives_finite_losses_in_float32() -> None:
    model = build(**LABELLED)
    data = model.data_preprocessor(night_batch(), True)
    with torch.autocast('cpu', torch.bfloat16):
        losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    terms = [value for key, value in losses.items() if 'loss' in key]
    assert all(term.dtype == torch.float32 and torch.isfinite(term) for term in terms)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize(
    ('changes', 'data', 'sentence'),
    [
        (
            dict(BDL, pseudo_label_weight=-1),
            None,
            'pseudo_label_weight must not be negative, got -1: 0 trains without pseudo labels.',
        ),
        (
            LABELLED,
            batch(source='source_night'),
            'pseudo_label_weight=1.0 needs labels of target_night, and the training set has none: set '
            'train_dataloader.dataset.target.night_label_dir to a folder of tools/pseudo_label.py, or '
            'model.pseudo_label_weight=0.',
        ),
    ],
)
def test_mistakes_end_in_one_sentence(
    changes: dict[str, Any], data: dict[str, Any] | None, sentence: str
) -> None:
    with pytest.raises(ValueError) as caught:
        losses_of(build(**changes), data)
    assert str(caught.value).endswith(sentence)


def _two_steps(rank: int, folder: str) -> None:
    """One of two processes: its own batch, gradients of the first step, weights after two."""
    torch.set_num_threads(1)
    init = f'file://{folder}/rendezvous'
    dist.init_process_group('gloo', init_method=init, rank=rank, world_size=2)
    model = build(**LABELLED).eval()
    wrapped = MMDistributedDataParallel(model)
    wrapper = build_optim_wrapper(wrapped, ConfigDict(copy.deepcopy(OPTIM)))
    gradients: list[Tensor] = []
    for _ in range(2):
        data = wrapped.module.data_preprocessor(night_batch(rank + 1), True)
        losses, _ = wrapped.module.parse_losses(wrapped(**data, mode='loss'))
        wrapper.zero_grad()
        losses.backward()
        gradients = gradients or [p.grad.clone() for p in model.parameters()]
        wrapper.step()
    torch.save([gradients, model.state_dict()], f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_train_one_model(tmp_path: Path) -> None:
    run_two_ranks(_two_steps, str(tmp_path))
    found = [torch.load(tmp_path / f'{rank}.pt', weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(value, found[1][1][name]) for name, value in found[0][1].items())
    model = build(**LABELLED).eval()
    single = []
    for rank in (0, 1):
        model.zero_grad()
        model.parse_losses(losses_of(model, night_batch(rank + 1)))[0].backward()
        single.append([p.grad.clone() for p in model.parameters()])
    for a, b, mean in zip(*single, found[0][0], strict=True):
        torch.testing.assert_close((a + b) / 2, mean, rtol=1e-4, atol=1e-7)


STAGES = {
    'deeplabv2_r101_cs2dz': ('deeplabv2/deeplabv2_r101_cityscapes/iter_40000', 50000, 3),
    'refinenet_r101_cs2dz': ('refinenet/refinenet_r101_cityscapes/iter_40000', 50000, 3),
    'refinenet_small_mini_day2night': ('refinenet/refinenet_small_mini/iter_600', 600, 2),
    'refinenet_small_camvid_day2night': ('refinenet/refinenet_small_camvid/iter_600', 600, 2),
    'refinenet_efficientnet-lite0_mini_day2night': (
        'refinenet/refinenet_efficientnet-lite0_mini/iter_4000',
        1000,
        2,
    ),
}


@pytest.mark.parametrize('name', STAGES)
def test_configs(name: str) -> None:
    """Every stage starts from the source-only weights; from the second on it reads the labels of the one before."""
    start, iterations, stages = STAGES[name]
    init_default_scope('mmseg')
    for stage in range(stages):
        config = Config.fromfile(str(CONFIGS / f'bdl_lab/{name}_ssl{stage}.py'))
        with meta_device():
            model = MODELS.build(config.model)
        assert type(model).__name__ == 'BDLSegmentor'
        assert (model.adversarial_form, model.level_weights) == ('vanilla', {'main': 0.001})
        assert model.pseudo_label_weight == (1.0 if stage else 0.0)
        assert model.night.decode_head.loss_decode.class_weight is None
        assert not model.night.with_auxiliary_head
        dataset = config.train_dataloader.dataset
        assert dataset.domains == ('source_night', 'target_night')
        assert config.load_from == f'work_dirs/{start}.pth'
        assert config.train_cfg.max_iters == iterations
        work, made = (
            f'work_dirs/bdl_lab/{name}_ssl{stage}',
            stage - 1,
        )  # the folder of its curriculum
        maker = f'{work}/ssl{made}/iter_{iterations}.pth'
        expected = (f'{work}/labels{made}', maker) if stage else (None, None)
        found = (dataset.target.get('night_label_dir'), dataset.target.get('night_labels_of'))
        assert found == expected
        parts = build_optim_wrapper(model, config.optim_wrapper).optimizer.parts
        trained = {id(p) for part in parts.values() for g in part.param_groups for p in g['params']}
        assert trained == {id(p) for p in model.parameters() if p.requires_grad}
        (own,) = parts['discriminators'].param_groups
        assert (own['lr'], own['betas'], own['weight_decay']) == (1e-4, (0.9, 0.99), 0)
