from __future__ import annotations

import numpy as np

from mmseg_ccdistill.mini_night import View, render_scene
from mmseg_ccdistill.mini_night.depth import scene_depth
from mmseg_ccdistill.mini_night.geometry import FAR

SIZE = (192, 108)
VIEW = View(0.2, 0.0, 0.02)


def test_the_road_is_as_far_as_the_camera_is_high() -> None:
    _, label = render_scene('T', 5, view=VIEW, size=SIZE)
    depth, camera = scene_depth('T', 5, view=VIEW, size=SIZE)
    assert depth.shape == label.shape == (108, 192)
    rays = camera.rays().reshape(3, 108, 192)
    road = (label == 0) & (depth < 40)
    assert road.mean() > 0.05
    on_ground = camera.y + rays[1][road] * depth[road]
    assert np.median(abs(on_ground)) < 1e-3
    assert (depth[label == 10] == FAR).mean() > 0.9  # a wire or a twig is before the rest


def test_the_camera_is_that_of_the_picture_by_day_and_night() -> None:
    day, camera = scene_depth('T', 5, view=VIEW, size=SIZE)
    night, other = scene_depth('T', 5, view=VIEW, size=SIZE, night=True)
    assert camera == other
    assert (day == night).mean() > 0.5
    moved, _ = scene_depth('T', 5, view=View(0.2, 1.0, 0.02), size=SIZE)
    assert not np.array_equal(moved, day)
