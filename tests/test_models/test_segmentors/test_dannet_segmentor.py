"""DANNet: an iteration in the published numbers, which term reaches what, two processes, export, configs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from domain_batch import domain_batch
from fill_by_key import fill
from golden_maps import normal
from meta_device import meta_device
from mmengine.config import Config, ConfigDict
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from two_ranks import run_two_ranks

import mmseg_ccdistill  # noqa: F401

CONFIGS = Path(__file__).resolve().parents[3] / 'configs'
#: Class weights are kept in float32; everything else is float64.
REL = 5e-8
DOMAINS = ('target_day', 'target_night', 'source_day')


@MODELS.register_module(force=True)
class ImageItself(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return (images,)


@MODELS.register_module(force=True)
class OneConvolution(BaseDecodeHead):
    """3x3, stride 4, on the image: the segmentor of the published toy iteration."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(3, 3, num_classes=19, dropout_ratio=0, align_corners=True, **kwargs)
        self.conv_seg = nn.Conv2d(3, 19, 3, stride=4, padding=1)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        return self.cls_seg(self._transform_inputs(inputs))


RELEASED = dict(type='StaticLoss', blend=(0.8, 0.2, 0.4), reweight='logits', neighborhood=False)
TOY = dict(
    type='DANNetSegmentor',
    segmentor=dict(
        type='RelitEncoderDecoder',
        light_net=dict(type='LightNet'),
        backbone=dict(type='ImageItself'),
        decode_head=dict(
            type='OneConvolution',
            in_index=-1,
            loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
        ),
        train_cfg=dict(),
        test_cfg=dict(mode='whole'),
    ),
    discriminator=dict(type='DayNightDiscriminator'),
    loss_light=dict(type='LightLoss'),
    loss_pseudo=RELEASED,
    target_size=(120, 120),
)
OPTIM = dict(
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(
        night=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
        discriminators=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
    ),
)


def build(config: dict[str, Any], **changes: Any) -> Any:
    init_default_scope('mmseg')
    torch.manual_seed(0)
    return MODELS.build(ConfigDict(copy.deepcopy({**config, **changes})))


def toy(**changes: Any) -> Any:
    """The published toy, filled, and in double precision."""
    model = build(TOY, **changes).double()
    for part in players(model):
        fill(part)
    return model


def players(model: Any) -> tuple[nn.Module, ...]:
    """G, F, D of days, D of nights."""
    return (model.night.light_net, model.night.decode_head, *model.discriminators.values())


def iteration(model: Any) -> dict[str, Tensor]:
    labels = torch.from_numpy(np.random.RandomState(14).randint(0, 20, (2, 64, 64)))
    labels[labels == 19] = 255
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    images = dict(
        target_day=normal(11, 2, 3, 64, 64),
        target_night=normal(12, 2, 3, 64, 64) - 1.5,
        source_day=normal(13, 2, 3, 64, 64),
    )
    return model.loss(images, dict(source_day=samples))


def total(losses: dict[str, Tensor]) -> Tensor:
    return torch.stack([value for key, value in losses.items() if 'loss' in key]).sum()


def gradient_norms(model: Any) -> list[float]:
    return [
        torch.cat([p.grad.flatten() for p in part.parameters()]).norm().item()
        for part in players(model)
    ]


def test_the_published_iteration() -> None:
    """Terms, gradients and the first step of all four networks, as in the released code."""
    model = toy()
    wrapper = build_optim_wrapper(model, OPTIM)
    losses = iteration(model)
    expected = {
        'target_day.loss_light': 0.01 * 95.9064743,
        'target_night.loss_light': 0.01 * 93.5087346,
        'source_day.loss_light': 96.8170129,
        'target_day.loss_adv': 0.01 * 0.0438710962,
        'target_night.loss_adv': 0.01 * 0.0444264089,
        'source_day.loss_seg': 3.33697395,
        'target_night.loss_pseudo': 1.06874656,
        'discriminators.day.loss': 0.335081337,
        'discriminators.night.loss': 0.333935056,
    }
    found = {key: value.item() for key, value in losses.items() if 'loss' in key}
    assert found == pytest.approx(expected, rel=REL)
    assert losses['pseudo.share'].item() == pytest.approx(0.685104167, rel=1e-6)
    before = [[p.detach().clone() for p in part.parameters()] for part in players(model)]
    wrapper.zero_grad()
    total(losses).backward()
    assert gradient_norms(model) == pytest.approx(
        [1192.74354, 2.23152134, 4.61751209, 4.56944014], rel=REL
    )
    wrapper.step()
    moved = [
        sum(
            (p.detach() - b).abs().sum().item() for p, b in zip(part.parameters(), old, strict=True)
        )
        for part, old in zip(players(model), before, strict=True)
    ]
    assert moved == pytest.approx([91.8504203, 0.00714457975, 172.723327, 172.735437], rel=REL)
    batch_norm = model.night.light_net.model[2]
    assert batch_norm.running_mean.sum().item() == pytest.approx(2.23927239, rel=REL)
    assert batch_norm.running_var.sum().item() == pytest.approx(63.4651225, rel=REL)


@pytest.mark.slow
def test_with_the_static_loss_of_this_project() -> None:
    model = toy(loss_pseudo=dict(type='StaticLoss'))
    losses = iteration(model)
    assert losses['target_night.loss_pseudo'].item() == pytest.approx(1.63693614, rel=REL)
    assert losses['pseudo.share'].item() == pytest.approx(0.724409722, rel=1e-6)
    total(losses).backward()
    assert gradient_norms(model)[:2] == pytest.approx([1193.12599, 2.49188929], rel=REL)


@pytest.mark.slow
def test_the_light_of_the_source_is_what_drives_the_relighting() -> None:
    model = toy(loss_light=dict(type='LightLoss', source_weight=0.01))
    total(iteration(model)).backward()
    assert gradient_norms(model)[:2] == pytest.approx([32.6502997, 2.23152134], rel=REL)


def small(**changes: Any) -> Any:
    """A network of a few channels on images of 64."""
    norm = dict(type='BN')
    segmentor = dict(
        TOY['segmentor'],
        light_net=dict(type='LightNet', base_channels=4, num_blocks=1),
        backbone=dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, norm_cfg=norm),
        decode_head=dict(
            type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, dropout_ratio=0,
            concat_input=False, num_classes=19, norm_cfg=norm,
            loss_decode=dict(type='WeightedCrossEntropyLoss'),
        ),
    )  # fmt: skip
    own = dict(
        segmentor=segmentor,
        data_preprocessor=dict(
            type='CrossDomainPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, size=(64, 64)
        ),
        discriminator=dict(type='DayNightDiscriminator', base_channels=4),
        target_size=None,
    )
    model = build(TOY, **{**own, **changes})
    model.init_weights()
    return model


def batch(seed: int = 1) -> dict[str, Any]:
    whole = domain_batch(seed=seed)
    return {key: {d: whole[key][d] for d in DOMAINS} for key in whole}


def losses_of(model: Any, seed: int = 1) -> dict[str, Tensor]:
    return model(**model.data_preprocessor(batch(seed), True), mode='loss')


def test_which_networks_a_term_trains() -> None:
    model = small()
    losses = losses_of(model)
    parts = dict(
        light=model.night.light_net,
        backbone=model.night.backbone,
        head=model.night.decode_head,
        day=model.discriminators['day'],
        night=model.discriminators['night'],
    )
    both = {'light', 'backbone', 'head'}
    expected = {
        **{f'{domain}.loss_light': {'light'} for domain in DOMAINS},
        'source_day.loss_seg': both,
        'target_night.loss_pseudo': both,
        'target_day.loss_adv': both,
        'target_night.loss_adv': both,
        'discriminators.day.loss': {'day'},
        'discriminators.night.loss': {'night'},
    }
    assert {key for key in losses if 'loss' in key} == set(expected)
    for key, reached in expected.items():
        found = {
            name
            for name, part in parts.items()
            if any(
                g is not None and bool(g.any())
                for g in torch.autograd.grad(
                    losses[key], list(part.parameters()), retain_graph=True, allow_unused=True
                )
            )
        }
        assert found == reached, key
    total(losses).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_one_network_sees_three_domains_days_first_the_source_last() -> None:
    model = small()
    seen: list[Tensor] = []
    model.night.light_net.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    data = model.data_preprocessor(batch(), True)
    model(**data, mode='loss')
    assert len(seen) == 3
    assert all(
        torch.equal(image, data['inputs'][d]) for image, d in zip(seen, DOMAINS, strict=True)
    )
    assert model.night.backbone.bn1.num_batches_tracked == 3
    assert model.domains == DOMAINS


def test_diagnostics_of_the_light() -> None:
    model = small().eval()
    data = model.data_preprocessor(batch(), True)
    log = model(**data, mode='loss')
    night = data['inputs']['target_night']
    relit, change = model.night.relight(night)
    expected = {
        'light.level': night.mean(),
        'light.target_night_level': relit.mean(),
        'light.target_night_change': change.abs().mean(),
        'light.target_night_saturated': (change.abs() > 0.95).float().mean(),
    }
    for key, value in expected.items():
        torch.testing.assert_close(log[key], value.detach(), msg=key)
    model.iteration = 1
    assert not any(key.startswith(('light.', 'pseudo.')) for key in losses_of(model))


def test_without_pseudo_labels_there_is_no_such_term() -> None:
    assert not any('pseudo' in key for key in losses_of(small(loss_pseudo=None)))


def test_the_two_discriminators_start_from_weights_of_their_own() -> None:
    day, night = small().discriminators.values()
    assert not torch.equal(day.conv1.weight, night.conv1.weight)


def test_a_plain_checkpoint_fills_all_but_the_relighting_network() -> None:
    source = small().night.state_dict()
    plain = {k: v + 1 for k, v in source.items() if not k.startswith('light_net.')}
    model = small()
    model.load_state_dict(dict(plain), strict=False)
    found = model.night.state_dict()
    assert all(torch.equal(found[key], value) for key, value in plain.items())
    light = [key for key in found if key.startswith('light_net.')]
    assert light and all(torch.equal(found[key], source[key]) for key in light)


def test_an_export_has_the_relighting_network_and_no_discriminator() -> None:
    model = small().eval()
    state, left = model.export_branch('night')
    assert any(name.startswith('light_net.') for name in state)
    assert left and all(name.startswith('discriminators.') for name in left)


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (
            dict(adversarial_weight=0),
            'adversarial_weight must be positive, got 0: for no adaptation train the source-only config.',
        ),
        (
            dict(target_size=(120, 8)),
            'target_size must be a height and a width of at least 16 pixels, got (120, 8); None is the size of the '
            'images.',
        ),
        (
            dict(data_preprocessor=dict(type='CrossDomainPreprocessor', size=(64, 16))),
            'DANNetSegmentor: model.data_preprocessor.size is (64, 16), but the light loss compares patches of 32 '
            'pixels: set it and the crops of the training to that or more.',
        ),
        (
            dict(discriminator=dict(type='DayNightDiscriminator', in_channels=5)),
            'discriminator.in_channels is 5, but the decode head has 19 classes: set '
            'model.discriminator.in_channels=19.',
        ),
        (
            dict(
                segmentor={
                    **{k: v for k, v in TOY['segmentor'].items() if k != 'light_net'},
                    'type': 'EncoderDecoder',
                }
            ),
            'DANNetSegmentor needs a segmentor with a relighting network, got EncoderDecoder: set '
            "model.segmentor.type='RelitEncoderDecoder' and model.segmentor.light_net=dict(type='LightNet').",
        ),
    ],
)
def test_mistakes_end_at_build(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(TOY, **changes)
    assert str(caught.value).endswith(sentence)


def _two_steps(rank: int, folder: str) -> None:
    """One of two processes: its own batch, gradients of the first step, weights after two."""
    torch.set_num_threads(1)
    init = f'file://{folder}/rendezvous'
    dist.init_process_group('gloo', init_method=init, rank=rank, world_size=2)
    model = small().eval()  # no batch statistics: gradients are those of the data alone
    wrapped = MMDistributedDataParallel(model)
    wrapper = build_optim_wrapper(wrapped, ConfigDict(copy.deepcopy(OPTIM)))
    gradients: list[Tensor] = []
    for _ in range(2):
        data = wrapped.module.data_preprocessor(batch(rank + 1), True)
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
    model = small().eval()
    single = []
    for rank in (0, 1):
        model.zero_grad()
        total(losses_of(model, rank + 1)).backward()
        single.append([p.grad.clone() for p in model.parameters()])
    for a, b, mean in zip(*single, found[0][0], strict=True):
        torch.testing.assert_close((a + b) / 2, mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ('name', 'segmentor', 'relighting', 'discriminator', 'size', 'optimizer'),
    [
        ('refinenet_r101_cs2dz', 118_047_827, 4_299_395, 1_728_193, (960, 960), 'SGD'),
        ('deeplabv2_r101_cs2dz', 43_901_068, 4_299_395, 1_728_193, (960, 960), 'SGD'),
        ('pspnet_r101_cs2dz', 65_602_931, 4_299_395, 1_728_193, (960, 960), 'SGD'),
        # A quarter of the width beside a small segmentor.
        ('refinenet_small_mini_day2night', 3_468_243, 273_059, 112_561, (240, 240), 'AdamW'),
    ],
)
def test_configs(
    name: str,
    segmentor: int,
    relighting: int,
    discriminator: int,
    size: tuple[int, int],
    optimizer: str,
) -> None:
    """One rate for F and G, Adam for the discriminators, the released losses, no S_n, no change at test time."""
    config = Config.fromfile(str(CONFIGS / f'dannet/{name}.py'))
    init_default_scope('mmseg')
    with meta_device():
        model = MODELS.build(config.model)
    assert sum(p.numel() for p in model.night.parameters()) == segmentor + relighting
    assert sum(p.numel() for p in model.discriminators.parameters()) == 2 * discriminator
    assert not model.night.with_auxiliary_head
    assert (model.target_size, model.adversarial_weight, model.test_weight) == (size, 0.01, None)
    light, static = model.loss_light, model.loss_pseudo
    assert (light.target_weight, light.source_weight) == (0.01, 1.0)
    assert (static.blend, static.reweight, static.neighborhood) == (
        (0.8, 0.2, 0.4),
        'logits',
        False,
    )
    assert set(config.train_dataloader.dataset.domains) == set(DOMAINS)
    parts = build_optim_wrapper(model, config.optim_wrapper).optimizer.parts
    assert list(parts) == ['night', 'discriminators']
    (own,) = parts['night'].param_groups
    assert type(parts['night']).__name__ == optimizer
    assert optimizer == 'AdamW' or (own['lr'], own['momentum'], own['weight_decay']) == (
        2.5e-4, 0.9, 5e-4,
    )  # fmt: skip
    (learner,) = parts['discriminators'].param_groups
    assert type(parts['discriminators']) is torch.optim.Adam
    assert (learner['lr'], learner['betas'], learner['weight_decay']) == (1e-4, (0.9, 0.99), 0)
