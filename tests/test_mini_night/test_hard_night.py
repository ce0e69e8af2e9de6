from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmseg_ccdistill.mini_night import make_world, render_scene
from mmseg_ccdistill.mini_night.geometry import FACADE
from mmseg_ccdistill.mini_night.hard_night import Mood, dim_table, is_on, lights_of, make_mood
from mmseg_ccdistill.mini_night.layout import make_street
from mmseg_ccdistill.mini_night.shapes import emission
from mmseg_ccdistill.mini_night.world import POLE

MOOD = make_mood(np.random.default_rng(0))
SMALL = (192, 96)


def test_the_share_of_lit_places_is_the_one_asked_for_and_cells_are_lit_as_one() -> None:
    z = np.arange(0.5, 4000.5, dtype=np.float32)
    x = np.ones_like(z)
    assert is_on(x, z, 1.0, 0.3, 5).mean() == pytest.approx(0.3, abs=0.03)
    assert not is_on(x, z, 1.0, 0.0, 5).any() and is_on(x, z, 1.0, 1.0, 5).all()
    cells = is_on(x, z, 12.0, 0.5, 5)[:3996].reshape(-1, 12)
    assert (cells == cells[:, :1]).all() and 0.4 < cells.mean() < 0.6
    assert (is_on(x, z, 12.0, 0.5, 5) != is_on(-x, z, 12.0, 0.5, 5)).any()  # sides differ


@pytest.mark.parametrize('lamps', [0.0, 0.5, 1.0])
def test_a_lamp_that_is_out_neither_glows_nor_lights(lamps: float) -> None:
    mesh = make_street(make_world('T'), 11).mesh
    mood = replace(MOOD, lamps=lamps, shops=0.0)
    rows = np.array(mesh.rows, np.float64)
    table = {
        'night': rows[:, 16:19].astype(np.float32),
        'label': rows[:, 0].astype(np.uint8),
        'kind': rows[:, 1].astype(np.int8),
        'origin': rows[:, 7:10].astype(np.float32),
        'params': rows[:, 20:28].astype(np.float32),
    }
    heads = (table['label'] == POLE) & (table['night'].max(1) > 0)
    dim_table(table, mood)
    glowing = sorted(table['origin'][heads & (table['night'].max(1) > 0), 2])
    lights = [light for light in lights_of(mesh, mood) if light.source == 'lamp']
    assert sorted(light.position[2] for light in lights) == pytest.approx(glowing)
    every = [light for light in mesh.lights if light.source == 'lamp']
    assert len(every) > 4 and (lamps == 0.5 or len(lights) == lamps * len(every))
    want = emission(mood.lamp, 120.0 * mood.power)
    assert all(light.intensity == want and light.down for light in lights)
    assert not any(light.source == 'shop' for light in lights_of(mesh, mood))
    facades = table['kind'] == FACADE
    assert facades.any()
    np.testing.assert_allclose(table['params'][facades, 6], rows[facades, 26] * mood.windows, 1e-6)


def test_moods_cover_dark_and_lit_wet_and_dry_streets_in_several_colours() -> None:
    moods = [make_mood(np.random.default_rng(seed)) for seed in range(200)]
    assert 20 < sum(mood.lamps == 0 for mood in moods) < 65
    assert 60 < sum(mood.wet > 0.3 for mood in moods) < 120
    assert len({mood.lamp for mood in moods}) == 5
    assert all(isinstance(mood, Mood) and mood.power < 0.51 for mood in moods)


def test_a_hard_night_is_darker_than_an_easy_one_above_all_in_the_sky_and_on_fronts() -> None:
    grey: dict[str, list[float]] = {}
    for street in range(8):
        for light in ('night', 'hard_night'):
            image, label = render_scene('T', street, light=light, size=SMALL)  # type: ignore[arg-type]
            for name, classes in (('all', range(19)), ('sky', (10,)), ('front', (2,))):
                found = np.isin(label, list(classes))
                if found.any():
                    grey.setdefault(f'{light} {name}', []).append(float(image[found].mean()))
    means = {name: np.mean(values) for name, values in grey.items()}
    assert means['hard_night all'] < 0.6 * means['night all']
    assert means['hard_night sky'] < 0.5 * means['night sky']
    assert means['hard_night front'] < 0.5 * means['night front']


def test_the_same_moment_gives_the_same_bits_and_another_moment_another_mood() -> None:
    first, again = (render_scene('S', 5, light='hard_night', size=SMALL) for _ in range(2))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    later = render_scene('S', 5, light='hard_night', traffic_seed=1, size=SMALL)[0]
    assert (first[0] != later).mean() > 0.5
