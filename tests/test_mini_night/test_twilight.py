from __future__ import annotations

import numpy as np

from mmseg_ccdistill.mini_night import render_scene

SMALL = (192, 96)


def test_twilight_lies_between_day_and_night_and_is_blue() -> None:
    grey: dict[str, list[float]] = {'day': [], 'twilight': [], 'night': []}
    blue: dict[str, list[float]] = {'day': [], 'twilight': []}
    lamps = 0
    for street in range(8):
        for light, values in grey.items():
            image, label = render_scene('T', street, light=light, size=SMALL)  # type: ignore[arg-type]
            values.append(float(image.mean()))
            if light in blue:
                road = image[label == 0].mean(0)
                blue[light].append(float(road[0] - road[2]))
            if light == 'twilight':
                lamps += int((image.min(-1) > 245).sum())
    means = {light: np.mean(values) for light, values in grey.items()}
    assert 0.9 * means['day'] > means['twilight'] > 1.1 * means['night']
    assert np.mean(blue['twilight']) > np.mean(blue['day']) + 5
    assert lamps > 50, 'no lamp or window is on'


def test_the_sky_is_brighter_than_the_street_at_twilight_and_darker_at_night() -> None:
    contrast: dict[str, list[float]] = {'twilight': [], 'night': []}
    for street in range(8):
        for light, values in contrast.items():
            image, label = render_scene('T', street, light=light, size=SMALL)  # type: ignore[arg-type]
            if (label == 10).sum() > 50:
                values.append(float(image[label == 10].mean()) - float(image[label == 0].mean()))
    assert np.mean(contrast['twilight']) > 10 and np.mean(contrast['night']) < -10
