"""Settings and samples that SelfTraining refuses, and what it takes as it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from domain_batch import domain_batch
from self_training_model import (
    ALONE,
    SELF,
    losses_of,
    with_draws,
)

from mmseg_ccdistill.models.self_training.hand_over import HandOver


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (
            dict(learners=()),
            "learners must be some of ('night', 'day'), got (); for none set self_training=None.",
        ),
        (
            dict(learners=('dusk',)),
            "learners must be some of ('night', 'day'), got ('dusk',); for none set self_training=None.",
        ),
        (
            dict(fusion='mean'),
            "fusion must be one of ('mgcda', 'refign', 'night', 'day'), got 'mean'.",
        ),
        (
            dict(paste='all'),
            "paste must be one of ('half', 'things', 'half+things') or None, got 'all'.",
        ),
        (dict(parallax=-1), 'parallax counts cells, expected an integer from 0 on, got -1.'),
        (
            dict(masked_ratio=1.0),
            'masked_ratio must be at least 0 and below 1, got 1.0; None: no masked pass.',
        ),
        *(
            (dict(pseudo_weight=w), f'pseudo_weight must be a number from 0 on, got {w!r}.')
            for w in (-1, math.nan, math.inf, 'x')
        ),
        *(
            (
                dict(loss_weight=w),
                f'loss_weight must be a positive number, got {w!r}; to turn it off set self_training=None.',
            )
            for w in (0, math.nan, math.inf, 'x')
        ),
        (
            dict(masked_ratio='x'),
            "masked_ratio must be at least 0 and below 1, got 'x'; None: no masked pass.",
        ),
        (
            dict(learners=5),
            "learners must be some of ('night', 'day'), got 5; for none set self_training=None.",
        ),
        *(
            (
                dict(fusion=fusion, parallax=1),
                f'parallax=1 has no effect with fusion={fusion!r}, which asks one teacher alone: set '
                "model.self_training.parallax=None, or fusion='mgcda' or 'refign'.",
            )
            for fusion in ('night', 'day')
        ),
        *(
            (
                dict(learners=('day',), **unread),
                f"{have} no effect with learners=('day',), because M_d hears its own teacher alone and L_pseudo is of "
                f"M_n: set {fix} in model.self_training, or add 'night' to learners.",
            )
            for unread, have, fix in (
                (dict(fusion='mgcda'), "fusion='mgcda' has", 'fusion=None'),
                (dict(parallax=0), 'parallax=0 has', 'parallax=None'),
                (dict(keep_pseudo=True), 'keep_pseudo=True has', 'keep_pseudo=False'),
                (
                    dict(fusion='day', parallax=1),
                    "fusion='day' and parallax=1 have",
                    'fusion=None and parallax=None',
                ),
            )
        ),
        (
            dict(paste=None, pseudo_weight=0),
            'with paste=None and pseudo_weight=0 no pixel is left to learn from: give one of them, or set '
            'self_training=None.',
        ),
        (
            dict(ignore_index=254),
            'ignore_index is 254, but that of the decode head is 255: expected equal numbers, because both read the '
            'labels of the source; set model.self_training.ignore_index=255.',
        ),
        (
            dict(weight='ratio'),
            "weight must be the settings of a PseudoLabelWeight, e.g. dict(form='ratio'), or None, got 'ratio'.",
        ),
        (
            dict(start=1.5),
            'expected start as iterations (an integer from 0 on) or as a share of the run (a float between 0 and 1, '
            'e.g. 0.15), got 1.5.',
        ),
        (
            dict(classes=('road', 'car'), static_classes=('road',)),
            'it knows 2 classes, but the decode head has 19: set model.self_training.classes to the names of those '
            'of the data.',
        ),
        (
            dict(static_classes=('river',), classes=('road', 'car')),
            "static_classes must be distinct names out of ['road', 'car'], got ['river'].",
        ),
        (
            dict(class_weight=[1.0, 2.0]),
            'class_weight has 2 weights, but classes names 19: give one weight per class, or None.',
        ),
        (
            dict(weight=dict(type='PseudoLabelWeight', num_classes=7)),
            'weight.num_classes is 7, but classes names 19: expected equal numbers; take weight.num_classes out.',
        ),
    ],
)
def test_mistakes_end_at_build(build: Callable, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        build(self_training=dict(SELF, **change) if 'start' not in change else {**SELF, **change})
    assert str(caught.value) == f'SelfTraining: {sentence}'


def test_a_term_that_is_not_there_is_not_kept(build: Callable) -> None:
    with pytest.raises(ValueError) as caught:
        build(self_training=dict(SELF, keep_pseudo=True), loss_pseudo=None)
    assert str(caught.value) == (
        'SelfTraining: keep_pseudo=True has no effect with loss_pseudo=None: set '
        "model.self_training.keep_pseudo=False, or model.loss_pseudo=dict(type='StaticLoss')."
    )
    build(self_training=dict(SELF, keep_pseudo=False), loss_pseudo=None)


def test_the_form_of_the_weight_is_enough(build: Callable) -> None:
    model = build(self_training=dict(SELF, weight=dict(form='confidence')))
    assert model.self_training.weights['night'].form == 'confidence'


def test_what_was_not_given_has_its_default(build: Callable) -> None:
    own = build(self_training=SELF).self_training
    assert (own.fusion, own.parallax, own.keep_pseudo) == ('mgcda', 1, False)
    nothing = dict(fusion=None, parallax=None)
    for learners in (('day',), ('night', 'day')):
        again = build(self_training=dict(SELF, learners=learners, **nothing)).self_training
        assert (again.fusion, again.parallax) == ('mgcda', 1) and not again.keep_pseudo


def test_samples_without_draws_say_what_to_add(build: Callable, batch: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        losses_of(build(self_training=SELF), batch)
    assert str(caught.value) == (
        'SelfTraining: the samples of the target have no mix_classes: expected the random numbers of the mixing; add '
        "dict(type='DrawMixing') before PackCrossDomainInputs to train_dataloader.dataset.pipeline."
    )


def test_a_start_that_nobody_can_tell_is_an_error(build: Callable, drawn: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        losses_of(build(self_training={**SELF, 'start': 10}), drawn)
    assert str(caught.value) == (
        'SelfTraining: start=10 and ramp=0 need the number of the iteration, which nobody tells: add '
        "dict(type='DeferredInfoHook') as default_hooks.runtime_info, or set both to 0."
    )


@pytest.mark.parametrize(
    ('start', 'ramp', 'told'),
    [
        *((start, ramp, 'begins') for start in (40, 50) for ramp in (0, 10)),
        *((start, 0, None) for start in (39, 0.9, 0)),
        *((20, ramp, 'takes over') for ramp in (20, 30, 0.5)),
        *((0.5, ramp, 'takes over') for ramp in (20, 0.9)),
        *((20, ramp, None) for ramp in (19, 0.25)),
    ],
)
def test_a_hand_over_that_the_run_does_not_reach_is_told(
    monkeypatch: pytest.MonkeyPatch, start: float, ramp: float, told: str | None
) -> None:
    told_words: list[str] = []
    monkeypatch.setattr(
        'mmseg_ccdistill.models.self_training.hand_over.print_log',
        lambda text, **_: told_words.append(text),
    )
    hand_over = HandOver(start, ramp)
    for iteration in range(40):
        hand_over.set_iteration(iteration, 40)
    assert (hand_over.share < 1) == bool(told)
    sentences = {
        None: [],
        'begins': [
            f'SelfTraining: start={start}, but the run has 40 iterations, so self-training never begins: give start '
            'as a share of the run, e.g. 0.15, or a lower number.'
        ],
        'takes over': [
            f'SelfTraining: start={start} and ramp={ramp}, but the run has 40 iterations, so L_mix never has its '
            'whole weight: give both as shares of the run, e.g. 0.15, or lower numbers.'
        ],
    }
    assert told_words == sentences[told]


def test_one_image_has_no_half_for_the_masked_pass(build: Callable) -> None:
    batch = with_draws(domain_batch(size=1))
    model = build(**ALONE, self_training=dict(SELF, masked_ratio=0.7)).eval()
    with pytest.raises(ValueError) as caught:
        losses_of(model, batch)
    assert 'expected train_dataloader.batch_size of at least 2, got 1' in str(caught.value)


@pytest.mark.parametrize('start', [0, 0.5])
def test_crops_of_two_sizes_are_refused(
    build: Callable, drawn: dict[str, Any], start: float
) -> None:
    """In the first iteration, also where self-training begins later."""
    model = build(**ALONE, self_training={**SELF, 'start': start}).eval()
    model.self_training.set_iteration(0, 10)
    data = model.data_preprocessor(drawn, True)
    for domain in ('target_day', 'target_night'):
        data['inputs'][domain] = data['inputs'][domain][..., :48]
    with pytest.raises(ValueError) as caught:
        model(**data, mode='loss')
    assert str(caught.value) == (
        'SelfTraining: source_night is (64, 64) pixels and target_night (64, 48): expected one size, because one is '
        'pasted into the other; give both pipelines of train_dataloader.dataset one crop size.'
    )
