"""Weights of pseudo labels: public values, class-wise thresholds, empty classes, no value read."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmseg_ccdistill.models.losses import PseudoLabelWeight, class_quantiles


def logits() -> Tensor:
    return 6 * torch.from_numpy(np.random.RandomState(4).standard_normal((2, 19, 32, 32)))


def test_ratios_and_confidence() -> None:
    p = logits().softmax(1)
    labels, ratio = PseudoLabelWeight('ratio')(p)
    assert ratio.shape == (2, 32, 32) and labels.sum().item() == 18863
    assert (ratio == 0.255859375).all()
    _, image = PseudoLabelWeight('ratio_image')(p)
    assert [value.unique().item() for value in image] == pytest.approx(
        [0.268554688, 0.243164062], abs=1e-9
    )
    _, confidence = PseudoLabelWeight('confidence')(p)
    assert confidence.mean().item() == pytest.approx(0.785315442, abs=1e-9)


def test_weights_do_not_cancel_in_the_mean_over_all_pixels() -> None:
    z = logits()
    labels, weight = PseudoLabelWeight('ratio')(z.softmax(1))
    weight = weight.clone()
    weight[:, :3] = weight[:, -5:] = 0
    loss = F.cross_entropy(z / 2, labels, reduction='none')
    assert loss.mean().item() == pytest.approx(0.601027887, abs=1e-9)
    assert (loss * weight).mean().item() == pytest.approx(0.115390870, abs=1e-9)


@pytest.mark.parametrize('keep', [0.5, 0.2, 1.0])
def test_quantiles_class_by_class(keep: float) -> None:
    generator = np.random.RandomState(0)
    labels = generator.randint(0, 5, 400)
    labels[labels == 3] = 2  # a class without a pixel
    confidence = generator.random_sample(400)
    found, counts = class_quantiles(torch.from_numpy(labels), torch.from_numpy(confidence), 5, keep)
    assert counts.tolist() == np.bincount(labels, minlength=5).tolist()
    for k in range(5):
        own = np.sort(confidence[labels == k])
        expected = own[int((1 - keep) * (len(own) - 1))] if len(own) else 0.0
        assert found[k].item() == pytest.approx(expected, abs=1e-12)


def test_confidences_of_nought_and_one_stay_in_their_class() -> None:
    found, counts = class_quantiles(
        torch.tensor([0, 0, 1, 1]), torch.tensor([1, 1, 0, 0.0]), 2, 0.5
    )
    assert (found.tolist(), counts.tolist()) == ([1.0, 0.0], [2, 2])


def test_thresholds_move_and_an_empty_class_keeps_its_own() -> None:
    p = torch.zeros(1, 3, 1, 4, dtype=torch.double)
    p[0, 0, 0] = torch.tensor([0.9, 0.8, 0.7, 0.3])
    p[0, 1, 0] = 0.9 * (1 - p[0, 0, 0])
    p[0, 2, 0] = 0.1 * (1 - p[0, 0, 0])
    weight = PseudoLabelWeight(num_classes=3)
    labels, q = weight(p)
    # class 0 wins 0.9, 0.8, 0.7 and keeps half of them: 0.8; class 1 wins 0.63; class 2 wins nothing
    assert weight.thresholds.tolist() == pytest.approx([0.45 + 0.08, 0.45 + 0.063, 0.5])
    assert labels.tolist() == [[[0, 0, 0, 1]]] and q.tolist() == [[[1, 1, 1, 1]]]
    for _ in range(200):
        labels, q = weight(p)
    assert weight.thresholds.tolist() == pytest.approx([0.8, 0.63, 0.5])
    assert q.tolist() == [[[1, 1, 0, 1]]]
    assert list(weight.state_dict()) == ['thresholds']
    assert list(PseudoLabelWeight('ratio').state_dict()) == []


def test_the_label_is_the_class_that_exceeds_its_threshold_most() -> None:
    weight = PseudoLabelWeight(num_classes=2, momentum=0.0)
    weight.thresholds.copy_(torch.tensor([0.9, 0.3]))
    weight.move_thresholds = lambda *args: None  # type: ignore[method-assign]
    labels, q = weight(torch.tensor([0.6, 0.4]).view(1, 2, 1, 1))
    assert (labels.item(), q.item()) == (1, 1)  # 0.6 / 0.9 < 0.4 / 0.3


@pytest.mark.parametrize('form', ['ratio', 'ratio_image', 'confidence', 'class_quantile'])
def test_no_value_is_read(form: str) -> None:
    weight = PseudoLabelWeight(form).to('meta')
    labels, q = weight(torch.empty(2, 19, 8, 8, device='meta'))
    assert labels.shape == q.shape == (2, 8, 8)


def test_what_was_not_given_has_its_default() -> None:
    nothing = dict(threshold=None, keep=None, momentum=None, start=None)
    for form in ('ratio', 'confidence', 'class_quantile'):
        for weight in (PseudoLabelWeight(form), PseudoLabelWeight(form, **nothing)):
            assert (weight.threshold, weight.keep, weight.momentum) == (0.968, 0.5, 0.9)
    assert PseudoLabelWeight().thresholds.tolist() == [0.5] * 19


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (
            dict(form='share'),
            "form must be one of ('ratio', 'ratio_image', 'confidence', 'class_quantile'), got 'share'.",
        ),
        (dict(form='ratio', threshold=0), 'threshold must be above 0 and at most 1, got 0.'),
        (
            dict(form='ratio_image', threshold='x'),
            "threshold must be above 0 and at most 1, got 'x'.",
        ),
        (dict(keep=1.5), 'keep must be above 0 and at most 1, got 1.5.'),
        (dict(keep=math.nan), 'keep must be above 0 and at most 1, got nan.'),
        (dict(start=0), 'start must be above 0 and at most 1, got 0.'),
        (dict(momentum=1.0), 'momentum must be at least 0 and below 1, got 1.0.'),
        (dict(momentum='x'), "momentum must be at least 0 and below 1, got 'x'."),
        *(
            (
                dict(form=form, **{name: 0.5}),
                f'{name}=0.5 has no effect with form={form!r}, which reads {reads}: set {name}=None, or another form.',
            )
            for form, reads in (
                ('class_quantile', 'keep, momentum and start'),
                ('confidence', 'no number'),
                ('ratio', 'threshold'),
                ('ratio_image', 'threshold'),
            )
            for name in ('threshold', 'keep', 'momentum', 'start')
            if name not in reads
        ),
        (
            dict(form='ratio', keep=0.3, start=0.5),
            "keep=0.3 has no effect with form='ratio', which reads threshold: set keep=None, or another form.",
        ),
    ],
)
def test_settings_out_of_range(settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        PseudoLabelWeight(**settings)
    assert str(caught.value) == f'PseudoLabelWeight: {sentence}'
