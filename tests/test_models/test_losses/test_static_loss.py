from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.losses import (
    CITYSCAPES_CLASSES,
    CITYSCAPES_FREQUENCIES,
    STATIC_CLASSES,
    StaticLoss,
    class_balance_weights,
    static_loss,
    static_pseudo_labels,
)
from mmseg_ccdistill.models.losses.static_loss import _blend

W = class_balance_weights(CITYSCAPES_FREQUENCIES)


def random_case(
    batch: int = 2, height: int = 6, width: int = 7, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Logits, and labels of static, dynamic and ignored pixels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(batch, 19, height, width, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 12, (batch, height, width), generator=generator)
    return logits, labels.masked_fill(labels == 11, 255)


def by_loops(
    logits: Tensor,
    labels: Tensor,
    weight: Tensor,
    gamma: float = 1.0,
    neighborhood: bool = True,
    classes: tuple[int, ...] = tuple(range(11)),
    rivals: tuple[int, ...] | None = None,
) -> float:
    """The static loss pixel by pixel; the softmax runs over ``rivals``, by default the classes."""
    batch, _, height, width = logits.shape
    total, count = 0.0, 0
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                if int(labels[b, y, x]) not in classes:
                    continue
                reach = 1 if neighborhood else 0
                near = {
                    int(labels[b, v, u])
                    for v in range(max(y - reach, 0), min(y + reach + 1, height))
                    for u in range(max(x - reach, 0), min(x + reach + 1, width))
                } & set(classes)
                over = rivals or classes
                p = dict(zip(over, logits[b, list(over), y, x].softmax(0), strict=True))
                q = max(float(weight[c] * p[c]) for c in near)
                q = min(max(q, 1e-7), 1 - 1e-7)
                total -= (1 - q) ** gamma * math.log(q)
                count += 1
    return total / count


@pytest.mark.parametrize(('label', 'expected'), [(0, 2.293293), (10, 2.219128), (6, 2.126846)])
def test_equal_logits_and_one_label(label: int, expected: float) -> None:
    logits, labels = torch.zeros(1, 19, 4, 5), torch.full((1, 4, 5), label)
    for neighborhood in (True, False):
        loss = static_loss(logits, labels, W, neighborhood=neighborhood)
        assert loss.item() == pytest.approx(expected, abs=2e-6)
    assert static_loss(logits, labels, None).item() == pytest.approx(2.179905, abs=1e-6)


def test_neighbourhood_takes_the_best_class() -> None:
    """On a 0 / 6 checkerboard every pixel has class 6, the heavier one, in reach."""
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(8), indexing='ij')
    labels = 6 * ((rows + columns) % 2).unsqueeze(0)
    logits = torch.zeros(1, 19, 6, 8)
    assert static_loss(logits, labels, W).item() == pytest.approx(2.126846, abs=2e-6)
    own = static_loss(logits, labels, W, neighborhood=False).item()
    assert own == pytest.approx((2.126846 + 2.293293) / 2, abs=2e-6)


@pytest.mark.parametrize('neighborhood', [True, False])
@pytest.mark.parametrize('gamma', [0.0, 1.0, 2.0])
@pytest.mark.parametrize('classes', [tuple(range(11)), (0, 1, 2, 5, 9), (4,)])
def test_agrees_with_loops(gamma: float, neighborhood: bool, classes: tuple[int, ...]) -> None:
    logits, labels = random_case()
    expected = by_loops(logits, labels, W, gamma, neighborhood, classes)
    loss = static_loss(logits, labels, W, gamma, neighborhood, classes)
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    single = static_loss(logits.float(), labels, W, gamma, neighborhood, classes)
    assert single.item() == pytest.approx(expected, rel=1e-5)


def test_an_ignored_value_among_the_static_classes() -> None:
    """Its pixels have no label of their own, and lend none to their neighbours."""
    logits, labels = random_case()
    assert (labels == 9).any()
    expected = by_loops(logits, labels.masked_fill(labels == 9, 255), W)
    loss = static_loss(logits, labels, W, ignore_index=9)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_without_options_it_is_cross_entropy_over_static_classes() -> None:
    logits, labels = random_case()
    loss = static_loss(logits, labels, None, gamma=0, neighborhood=False)
    expected = F.cross_entropy(logits[:, :11], labels, ignore_index=255)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_labels_are_not_touched_and_images_do_not_mix() -> None:
    logits, labels = random_case()
    copy = labels.clone()
    both = static_loss(logits, labels, W)
    assert torch.equal(labels, copy)
    counts = [(labels[i] != 255).sum().item() for i in range(2)]
    alone = [static_loss(logits[i : i + 1], labels[i : i + 1], W).item() for i in range(2)]
    expected = sum(c * v for c, v in zip(counts, alone, strict=True)) / sum(counts)
    assert both.item() == pytest.approx(expected)


def test_size_of_the_image_does_not_matter() -> None:
    logits, labels = random_case()
    expected = static_loss(logits, labels, W, neighborhood=False).item()
    tiled = static_loss(
        logits.repeat(1, 1, 2, 3), labels.repeat(1, 2, 3), W, neighborhood=False
    ).item()
    assert tiled == pytest.approx(expected)


@pytest.mark.parametrize('neighborhood', [True, False])
def test_no_valid_pixel_gives_zero_and_a_zero_gradient(neighborhood: bool) -> None:
    logits = torch.randn(1, 19, 4, 4, requires_grad=True)
    labels = torch.full((1, 4, 4), 255)
    labels[0, 0, 0] = 13  # a dynamic class is as good as ignored
    loss = static_loss(logits, labels, W, neighborhood=neighborhood)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and torch.equal(logits.grad, torch.zeros_like(logits))


def test_ignored_and_dynamic_values_do_not_matter() -> None:
    logits, labels = random_case()
    expected = static_loss(logits, labels, W).item()
    changed = logits.clone()
    changed[:, 11:] += 50
    changed[:, :11] = changed[:, :11].where((labels != 255).unsqueeze(1), torch.tensor(-30.0))
    assert static_loss(changed, labels, W).item() == pytest.approx(expected)


def test_gradient_reaches_static_channels_of_valid_pixels_only() -> None:
    logits, labels = random_case()
    logits.requires_grad_()
    static_loss(logits, labels, W).backward()
    grad = logits.grad
    assert grad is not None and not grad[:, 11:].any()
    assert torch.equal(grad[:, :11].abs().sum(1) > 0, labels != 255)


@pytest.mark.parametrize('gamma', [0.0, 1.0, 2.0])
def test_gradient(gamma: float) -> None:
    logits, labels = random_case(batch=1, height=3, width=4)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: static_loss(z, labels, W.double(), gamma), (logits,))


@pytest.mark.parametrize(
    ('label', 'probability', 'expected', 'learns'),
    [
        (6, 0.95, None, True),
        (6, 0.96, 0.0, False),  # w p > 1 from p = 0.954 on: the clamp's dead zone
        (0, 1.0, 0.009660, True),  # w < 1: even a sure prediction keeps a floor
    ],
)
def test_weights_shift_the_end_of_learning(
    label: int, probability: float, expected: float | None, learns: bool
) -> None:
    logits = torch.zeros(1, 19, 1, 1, dtype=torch.float64)
    rest = (1 - probability) / 10
    logits[0, label] = math.log(probability / rest) if rest > 0 else 25.0
    logits.requires_grad_()
    loss = static_loss(logits, torch.full((1, 1, 1), label), W)
    loss.backward()
    if expected is not None:
        assert loss.item() == pytest.approx(expected, abs=2e-5)
    assert logits.grad is not None and bool(logits.grad.any()) is learns


@pytest.mark.parametrize('value', [1e4, -1e4])
def test_extreme_logits_stay_finite(value: float) -> None:
    logits = torch.zeros(1, 19, 2, 2)
    logits[:, 3] = value
    logits.requires_grad_()
    loss = static_loss(logits, torch.full((1, 2, 2), 3), W)
    loss.backward()
    q = min(W[3].item(), 1 - 1e-7) if value > 0 else 1e-7
    assert loss.item() == pytest.approx(-(1 - q) * math.log(q), abs=1e-5)
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_mixed_precision(half_dtype: torch.dtype) -> None:
    logits, labels = random_case()
    half = logits.to(half_dtype)
    with torch.autocast('cpu', dtype=half_dtype):
        loss = static_loss(half, labels, W)
        picked = static_pseudo_labels(half, W)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(by_loops(half.double(), labels, W), rel=1e-4)
    # Weights of a few percent decide between close logits; half precision would lose them.
    assert torch.equal(picked, static_pseudo_labels(half.double(), W))


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match='upsample'):
        static_loss(torch.zeros(1, 19, 4, 4), torch.zeros(1, 8, 8, dtype=torch.long), W)
    with pytest.raises(ValueError, match='3 class weights'):
        static_loss(torch.zeros(1, 19, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long), [1.0] * 3)


def test_pseudo_labels_are_the_static_winners_of_all_classes() -> None:
    logits = torch.full((1, 19, 1, 3), -5.0)
    logits[0, 2, 0, 0] = 1.0  # building
    logits[0, 13, 0, 1] = 1.0  # a car wins: not static
    logits[0, 10, 0, 2], logits[0, 13, 0, 2] = 1.0, 0.5  # sky before car
    labels = static_pseudo_labels(logits, None)
    assert labels.dtype == torch.int64 and labels.tolist() == [[[2, 255, 10]]]
    assert static_pseudo_labels(logits, None, range(14)).tolist() == [[[2, 13, 10]]]
    assert static_pseudo_labels(logits, None, (2, 13), ignore_index=99).tolist() == [[[2, 13, 99]]]


@pytest.mark.parametrize('reweight', ['prob', 'logits'])
def test_pseudo_labels_by_definition(reweight: str) -> None:
    logits, _ = random_case(height=32, width=32)
    logits = logits * 0.2  # close calls
    w = W.double().view(1, 19, 1, 1)
    scores = logits.softmax(1) * w if reweight == 'prob' else logits * w
    expected = scores.argmax(1)
    assert (expected != logits.argmax(1)).any()  # the weights decide somewhere
    expected = expected.masked_fill(expected >= 11, 255)
    assert torch.equal(static_pseudo_labels(logits, W, reweight=reweight), expected)


def test_weights_on_negative_logits_work_backwards() -> None:
    """Why probabilities are weighted: a heavier class loses where its logit is negative."""
    logits = torch.full((1, 19, 1, 1), -9.0)
    logits[0, 2], logits[0, 6] = -2.10, -2.05
    assert static_pseudo_labels(logits, W).item() == 6
    assert static_pseudo_labels(logits, W, reweight='logits').item() == 2


def test_the_blend_of_sepico() -> None:
    """Probabilities, the static channels of SePiCo, no class weights; numbers worked out in NumPy."""
    night, day = (
        torch.from_numpy(3 * np.random.RandomState(seed).standard_normal((2, 19, 6, 6))).softmax(1)
        for seed in (9, 10)
    )
    mixed = _blend(day, night, (0, 1, 2, 3, 4, 8, 9, 10), (0.8, 0.2, 0.4))
    assert mixed.sum().item() == pytest.approx(83.022064259, abs=1e-9)
    assert mixed.argmax(1).sum().item() == 580


def test_blended_pseudo_labels() -> None:
    day, _ = random_case(height=16, width=16)
    night, _ = random_case(height=16, width=16, seed=1)
    scores = torch.empty_like(day)
    for k in range(19):
        a = torch.where(day[:, k] > 0.4, 0.8, 0.2).double()
        scores[:, k] = a * day[:, k] + (1 - a) * night[:, k] if k < 11 else night[:, k]
    expected = (scores * W.double().view(1, 19, 1, 1)).argmax(1)
    expected = expected.masked_fill(expected >= 11, 255)
    copies = day.clone(), night.clone()
    labels = static_pseudo_labels(
        day, W, night_logits=night, blend=(0.8, 0.2, 0.4), reweight='logits'
    )
    assert torch.equal(labels, expected)
    assert torch.equal(day, copies[0]) and torch.equal(night, copies[1])
    assert not torch.equal(labels, static_pseudo_labels(day, W, reweight='logits'))
    with pytest.raises(ValueError, match='night_logits'):
        static_pseudo_labels(day, W, blend=(0.8, 0.2, 0.4))


def test_night_logits_alone_change_nothing() -> None:
    day, _ = random_case()
    night, _ = random_case(seed=1)
    expected = static_pseudo_labels(day, W)
    assert torch.equal(static_pseudo_labels(day, W, night_logits=night), expected)


def test_module_hands_its_settings_on() -> None:
    day, _ = random_case()
    night, _ = random_case(seed=1)
    loss = MODELS.build(
        dict(
            type='StaticLoss',
            loss_weight=2.0,
            class_weight=None,
            gamma=2.0,
            neighborhood=False,
            static_classes=[5, 2, 0],
            blend=[0.8, 0.2, 0.4],
            reweight='logits',
            ignore_index=77,
        )
    )
    labels = loss.pseudo_labels(day, night)
    expected = static_pseudo_labels(
        day,
        None,
        (0, 2, 5),
        night_logits=night,
        blend=(0.8, 0.2, 0.4),
        reweight='logits',
        ignore_index=77,
    )
    assert torch.equal(labels, expected)
    assert set(labels.unique().tolist()) == {0, 2, 5, 77}
    value = by_loops(night, labels, torch.ones(19), 2.0, False, (0, 2, 5))
    assert loss(night, labels).item() == pytest.approx(2 * value, rel=1e-6)


def test_gradient_flows_to_the_night_logits_alone() -> None:
    day, _ = random_case()
    night, _ = random_case(seed=1)
    day.requires_grad_(), night.requires_grad_()
    loss = StaticLoss()
    labels = loss.pseudo_labels(day, night)
    assert not labels.requires_grad
    loss(night, labels).backward()
    assert day.grad is None and night.grad is not None and night.grad.any()


def test_default_weights_are_balanced_and_not_saved() -> None:
    loss = StaticLoss()
    assert torch.equal(loss.class_weight, W)
    assert not loss.state_dict()
    assert StaticLoss(class_weight=[2.0] * 4, num_classes=4, static_classes=[0]).num_classes == 4


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(loss_weight=0), 'loss_pseudo=None'),
        (dict(gamma=-1), 'gamma'),
        (dict(static_classes=[]), 'static_classes'),
        (dict(static_classes=[3, 3]), 'static_classes'),
        (dict(static_classes=[18, 19]), '0 to 18'),
        (dict(reweight='softmax'), 'reweight'),
        (dict(blend=(0.8, 0.2)), 'blend'),
        (dict(num_classes=12), '12 classes'),
    ],
)
def test_bad_settings_are_refused(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StaticLoss(**kwargs)


def test_static_classes_go_by_name() -> None:
    """In any order of the classes the same names are static; what was class 0 to 10 does not matter."""
    assert STATIC_CLASSES == (
        *('road', 'sidewalk', 'building', 'wall', 'fence', 'pole', 'traffic light'),
        *('traffic sign', 'vegetation', 'terrain', 'sky'),
    )
    assert StaticLoss().static_classes == list(range(11))
    backwards = CITYSCAPES_CLASSES[::-1]
    loss = StaticLoss(classes=backwards)
    assert loss.static_classes == list(range(8, 19))
    assert torch.equal(loss.class_weight, W.flip(0))
    day, night = random_case()[0], random_case(seed=1)[0]
    labels, expected = loss.pseudo_labels(day.flip(1)), StaticLoss().pseudo_labels(day)
    assert torch.equal(torch.where(labels == 255, labels, 18 - labels), expected)
    value = loss(night.flip(1), labels).item()
    assert value == pytest.approx(StaticLoss()(night, expected).item())


@pytest.mark.parametrize(
    'classes', [tuple(range(11)), (0,), (18,), (0, 2, 3, 18), tuple(range(19))]
)
def test_every_class_that_is_not_static_is_rejected(classes: tuple[int, ...]) -> None:
    """Class by class, so the first and the last of each run of ids too."""
    logits = torch.eye(19).view(1, 19, 1, 19)  # class k wins at place k
    labels = static_pseudo_labels(logits, None, classes)
    assert labels.tolist() == [[[k if k in classes else 255 for k in range(19)]]]
    everywhere = torch.arange(19).view(1, 1, 19)
    for k in range(19):
        one = torch.where(everywhere == k, everywhere, torch.tensor(255))
        loss = static_loss(torch.zeros(1, 19, 1, 19), one, None, static_classes=classes)
        is_learnt = k in classes and len(classes) > 1
        assert (loss.item() > 1e-6) is is_learnt


@pytest.mark.parametrize(
    ('logit', 'share'), [(0.5, 0.25), (0.5 + 2**-10, 0.75), (0.5 - 2**-10, 0.25)]
)
def test_a_day_logit_must_exceed_the_threshold_of_the_blend(logit: float, share: float) -> None:
    """At the threshold itself the low share counts, as in DANNet. All values are exact in binary."""
    day, night = torch.zeros(1, 19, 1, 1), torch.zeros(1, 19, 1, 1)
    day[0, 4] = logit
    mixed = share * logit
    for rival, winner in ((mixed - 2**-12, 4), (mixed + 2**-12, 255)):
        night[0, 13] = rival  # a dynamic class takes the night logit alone
        labels = static_pseudo_labels(day, None, night_logits=night, blend=(0.75, 0.25, 0.5))
        assert labels.item() == winner


@pytest.mark.parametrize('gamma', [0.0, 0.5, 1.0])
def test_the_floor_and_the_ceiling_of_the_probability(gamma: float) -> None:
    """q stays within [1e-7, 1 - 1e-7]: the loss at both ends, and no gradient beyond them."""
    for logit, q in ((-60.0, 1e-7), (60.0, 1 - 1e-7)):
        logits = torch.zeros(1, 19, 1, 1, dtype=torch.float64)
        logits[0, 5] = logit
        logits.requires_grad_()
        loss = static_loss(logits, torch.full((1, 1, 1), 5), None, gamma=gamma)
        loss.backward()
        assert loss.item() == pytest.approx(-((1 - q) ** gamma) * math.log(q), rel=1e-6)
        assert logits.grad is not None and not logits.grad.any()
    for p in (2e-7, 1 - 2e-7):  # just within
        logits = torch.zeros(1, 19, 1, 1, dtype=torch.float64)
        logits[0, 5] = math.log(10 * p / (1 - p))
        logits.requires_grad_()
        static_loss(logits, torch.full((1, 1, 1), 5), None, gamma=gamma).backward()
        assert logits.grad is not None and logits.grad.any() and logits.grad.isfinite().all()


def test_classes_of_ones_own() -> None:
    classes = ('sky', 'lane', 'bus', 'person', 'road')
    own = dict(classes=classes, class_weight=None)
    loss = StaticLoss(static_classes=('road', 'sky'), **own)
    assert (loss.static_classes, loss.num_classes) == ([0, 4], 5)
    assert StaticLoss(static_classes=[4, 0], **own).static_classes == [0, 4]


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (
            dict(classes=('sky', 'road'), class_weight=None),
            r"static_classes must be distinct names out of \['sky', 'road'\], got \['road', 'sidewalk'",
        ),
        (
            dict(num_classes=5, class_weight=None),
            'names of the 5 classes are not known: set classes=',
        ),
        (dict(classes=('sky', 'road'), static_classes=[2]), 'distinct numbers from 0 to 1, got'),
        (
            dict(classes=('sky', 'lane'), static_classes=['sky']),
            r"frequencies of the 19 classes of Cityscapes alone, not of \['lane'\]: give class_weight",
        ),
    ],
)
def test_classes_that_do_not_fit_are_refused(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StaticLoss(**kwargs)
