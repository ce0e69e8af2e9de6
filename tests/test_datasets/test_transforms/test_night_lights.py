from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from mmseg_ccdistill.cielab import LINEAR_LIGHT
from mmseg_ccdistill.datasets.domain_flow import check_made_once, plan_flow
from mmseg_ccdistill.datasets.draw import Draw
from mmseg_ccdistill.datasets.file_check import DatasetCheckError
from mmseg_ccdistill.datasets.transforms import LABTransfer, NightLights, PackCrossDomainInputs
from mmseg_ccdistill.datasets.transforms.night_lights import relight
from mmseg_ccdistill.runtime.random_state import get_random_state, same_random_state, seeded


def image(level: int = 40) -> np.ndarray:
    noise = np.random.RandomState(0).randint(0, 2 * level, (96, 128, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (5, 5), 0)


def linear(levels: np.ndarray) -> np.ndarray:
    return cv2.LUT(levels, LINEAR_LIGHT)


def lit(seed: int = 0, level: int = 40, **parts: float) -> np.ndarray:
    settings: dict[str, Any] = dict(spread=0.0, lamps=0, gain=3.0, photons=0.0, **{})
    return relight(image(level), **{**settings, **parts}, stream=np.random.RandomState(seed))


def test_without_parts_nothing_changes() -> None:
    assert np.array_equal(lit(), image())


@pytest.mark.parametrize('level', [15, 40, 110])
@pytest.mark.parametrize(
    'parts', [dict(spread=0.5), dict(lamps=4), dict(photons=400.0), dict(spread=0.5, lamps=4, photons=400.0)]
)  # fmt: skip
def test_the_mean_is_kept_in_linear_light(parts: dict, level: int) -> None:
    for seed in range(3):
        found, before = linear(lit(seed, level, **parts)).mean(), linear(image(level)).mean()
        assert found == pytest.approx(before, rel=0.03)
        assert not np.array_equal(lit(seed, level, **parts), image(level))


def test_the_field_is_smooth_and_the_same_for_all_colours() -> None:
    grey = np.full((96, 128, 3), 60, np.uint8)
    found = relight(grey, 0.5, 0, 3.0, 0.0, np.random.RandomState(1)).astype(int)
    assert np.ptp(found[..., 0]) > 20 and (found == found[..., :1]).all()
    assert max(np.abs(np.diff(found, axis=axis)).max() for axis in (0, 1)) <= 8


def test_lamps_are_warm() -> None:
    grey = np.full((96, 128, 3), 40, np.uint8)
    found = relight(grey, 0.0, 3, 3.0, 0.0, np.random.RandomState(2)).astype(int)
    bright = found.sum(2) > np.quantile(found.sum(2), 0.95)
    blue, green, red = found[bright].mean(0)
    assert red > green > blue


def test_noise_is_the_root_of_the_light() -> None:
    for level in (60, 180):
        grey = np.full((200, 200, 3), level, np.uint8)
        found = linear(relight(grey, 0.0, 0, 3.0, 400.0, np.random.RandomState(3)))
        expected = np.sqrt(LINEAR_LIGHT[level] / 400)
        assert found.std() == pytest.approx(expected, rel=0.08)


def test_a_black_image_stays_black() -> None:
    black = np.zeros((20, 20, 3), np.uint8)
    assert not relight(black, 0.5, 4, 3.0, 400.0, np.random.RandomState(0)).any()


def results() -> dict[str, Any]:
    return {
        domain: dict(img=image(), gt_seg_map=np.zeros((96, 128), np.uint8))
        for domain in ('source_day', 'source_night', 'target_night')
    }


def test_it_changes_s_n_alone_and_no_stream() -> None:
    outcomes = []
    for number in range(40):
        with seeded(Draw(0, number, 1).seed_sequence()):
            before = get_random_state()
            found = NightLights().transform(results())
            assert same_random_state(before, get_random_state())
        for domain in ('source_day', 'target_night'):
            assert np.array_equal(found[domain]['img'], image())
        assert not found['source_night']['gt_seg_map'].any()
        outcomes.append(not np.array_equal(found['source_night']['img'], image()))
    assert 18 < sum(outcomes) < 38  # 0.7 of 40
    pictures = []
    for _ in range(2):
        with seeded(Draw(0, 5, 1).seed_sequence()):
            pictures.append(NightLights(prob=1).transform(results())['source_night']['img'])
    assert np.array_equal(*pictures)


def test_it_runs_only_where_s_n_is_wanted() -> None:
    steps = [LABTransfer(), NightLights(), PackCrossDomainInputs()]
    decoded, flow = plan_flow(steps, ('source_day', 'target_night'))
    assert [type(step.transform) for step in flow] == [PackCrossDomainInputs]
    decoded, flow = plan_flow(steps, ('source_night',))
    assert len(flow) == 3 and decoded == {'source_day', 'target_night'}


def test_it_works_on_what_a_source_returns() -> None:
    steps = [NightLights(), PackCrossDomainInputs()]
    check_made_once(steps, {'source': ('source_day', 'source_night')})
    decoded, flow = plan_flow(steps, ('source_night', 'target_night'))
    assert len(flow) == 2 and decoded == {'source_night', 'target_night'}
    decoded, flow = plan_flow(steps, ('source_day', 'target_night'))
    assert len(flow) == 1 and decoded == {'source_day', 'target_night'}


def test_a_plan_with_it_in_front_of_lab_transfer_is_refused() -> None:
    steps = [NightLights(), LABTransfer(), PackCrossDomainInputs()]
    with pytest.raises(DatasetCheckError) as caught:
        plan_flow(steps, ('source_night', 'target_night'))
    assert str(caught.value) == (
        "NightLights stands before LABTransfer, which makes 'source_night': expected it behind; move NightLights "
        'behind LABTransfer in the pipeline of CrossDomainDataset.'
    )
    assert len(plan_flow(steps, ('source_day', 'target_night'))[1]) == 1  # nobody reads S_n


def test_in_front_of_lab_transfer_it_is_refused() -> None:
    sample = results()
    del sample['source_night']
    with pytest.raises(ValueError) as caught:
        NightLights().transform(sample)
    assert str(caught.value) == (
        "NightLights found ['source_day', 'target_night'] and no 'source_night': expected it behind LABTransfer, "
        'which makes it, or a source that returns it; move it there, or take it out of the pipeline.'
    )


@pytest.mark.parametrize(
    ('settings', 'sentence'),
    [
        (dict(prob=1.1), 'prob must be from 0 to 1, got 1.1.'),
        (
            dict(lamps=-1),
            'spread, lamps, gain and photons must be numbers from 0 on, got 0.5, -1, 3.0 and 400.',
        ),
        (
            dict(gain=float('nan')),
            'spread, lamps, gain and photons must be numbers from 0 on, got 0.5, 4, nan and 400.',
        ),
        (dict(lamps=2.5), 'lamps counts lamps, expected an integer from 0 on, got 2.5.'),
    ],
)
def test_settings_out_of_range(settings: dict, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        NightLights(**settings)
    assert str(caught.value) == f'NightLights: {sentence}'
