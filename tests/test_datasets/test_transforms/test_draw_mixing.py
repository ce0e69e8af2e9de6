from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmseg_ccdistill.datasets.draw_sampler import Draw
from mmseg_ccdistill.datasets.transforms import DrawMixing, PackCrossDomainInputs
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state, seeded


def results(labelled: bool = True) -> dict[str, Any]:
    sample: dict[str, Any] = {}
    for domain in ('source_day', 'source_night', 'target_day', 'target_night'):
        sample[domain] = dict(img=np.zeros((64, 96, 3), np.uint8))
        if domain.startswith('source') and labelled:
            sample[domain].update(
                gt_seg_map=np.zeros((64, 96), np.uint8), seg_fields=['gt_seg_map']
            )
    return sample


def draws(number: int = 0, **settings: Any) -> dict[str, dict[str, np.ndarray]]:
    with seeded(Draw(0, number, 3).seed_sequence()):
        found = DrawMixing(**settings).transform(results())
    return {domain: found[domain]['mix_draws'] for domain in ('target_day', 'target_night')}


def test_numbers_follow_from_the_draw_and_leave_the_global_streams_alone() -> None:
    first, again, other = draws(), draws(), draws(1)
    for domain, values in first.items():
        assert {k: v.shape for k, v in values.items()} == dict(
            mix_classes=(19,), mix_look=(5,), mix_patches=(1, 2)
        )
        for name, value in values.items():
            assert value.dtype == np.float32
            assert np.array_equal(value, again[domain][name])
        assert not np.array_equal(values['mix_classes'], other[domain]['mix_classes'])
    assert not np.array_equal(
        first['target_day']['mix_classes'], first['target_night']['mix_classes']
    )
    with seeded(Draw(0, 0, 3).seed_sequence()):
        before = get_random_state()
        DrawMixing().transform(results())
        assert same_random_state(before, get_random_state())


def test_settings_of_one_part_leave_the_others_alone() -> None:
    plain, changed = draws()['target_night'], draws(jitter_prob=0.0, blur_prob=0.0)['target_night']
    assert changed['mix_look'].tolist() == [1, 1, 1, 0, 0]
    assert np.array_equal(plain['mix_classes'], changed['mix_classes'])
    assert np.array_equal(plain['mix_patches'], changed['mix_patches'])
    assert draws(block=16)['target_night']['mix_patches'].shape == (4, 6)


def test_how_often_and_how_much() -> None:
    looks = np.stack([draws(number)['target_night']['mix_look'] for number in range(1500)])
    jittered, blurred = (looks[:, :4] != [1, 1, 1, 0]).any(1), looks[:, 4] > 0
    for found, probability in ((jittered, 0.8), (blurred, 0.5)):
        assert abs(found.mean() - probability) < 3 * (probability * (1 - probability) / 1500) ** 0.5
    change = looks[jittered][:, :4] - [1, 1, 1, 0]
    assert np.abs(change).max() <= 0.2 + 1e-6 and np.abs(change).max(0).min() > 0.19
    assert 0.15 <= looks[blurred, 4].min() < 0.17 and 1.13 < looks[blurred, 4].max() <= 1.15


def test_they_are_fields_of_the_packed_targets() -> None:
    with seeded(Draw(0, 0, 3).seed_sequence()):
        packed = PackCrossDomainInputs().transform(DrawMixing().transform(results()))
    for domain, values in draws().items():
        sample = packed['data_samples'][domain]
        for name, value in values.items():
            assert torch.equal(sample.get(name), torch.from_numpy(value))
        assert torch.equal(sample.to('cpu').get('mix_look'), sample.get('mix_look'))
    assert 'mix_look' not in packed['data_samples']['source_night']


def test_a_source_without_labels_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        DrawMixing().transform(results(labelled=False))
    assert str(caught.value) == (
        'DrawMixing: source_night has no labels, so nothing of it can be pasted: expected LoadAnnotations in the '
        "source's pipeline and a seg_map_path in its data_prefix; add both, or take DrawMixing and "
        'model.self_training out.'
    )


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(jitter=1.5), 'jitter must be from 0 to 1, got 1.5.'),
        (dict(blur_prob=-1), 'blur_prob must be from 0 to 1, got -1.'),
        (
            dict(blur_sigma=(1.0, 0.5)),
            'blur_sigma must be two rising numbers from 0 to 1.25 pixels, got (1.0, 0.5).',
        ),
        (dict(block=0), 'num_classes must be at least 2 and block at least 1, got 19 and 0.'),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        DrawMixing(**settings)
    assert str(caught.value) == f'DrawMixing: {sentence}'
