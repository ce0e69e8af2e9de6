from __future__ import annotations

import numpy as np
import pytest

from mmseg_ccdistill.mini_night import geometry
from mmseg_ccdistill.mini_night.geometry import Camera, Mesh
from mmseg_ccdistill.mini_night.wet_road import add_reflections

CAMERA = Camera(0.0, 1.5, 0.0, 0.0, 0.0, 0.0, 200.0, 400, 200)


def _scene() -> tuple[np.ndarray, geometry.GBuffer]:
    """A lamp of 0.2 m at (1, 3, 20) over flat ground."""
    mesh = Mesh()
    lamp = [(0.9, 2.9, 20.0), (1.1, 2.9, 20.0), (1.1, 3.1, 20.0), (0.9, 3.1, 20.0)]
    mesh.add(lamp, 5, (255.0, 255.0, 255.0), key=20.0)
    table, rays, front, _ = geometry.rasterize(mesh, CAMERA)
    image = np.zeros((200, 400, 3), np.float32)
    image.reshape(-1, 3)[front == 2] = (20.0, 10.0, 0.0)
    return image, geometry.locate(table, front, rays, CAMERA)


def test_a_lamp_is_mirrored_where_its_mirror_image_is_seen() -> None:
    image, g = _scene()
    added = add_reflections(image, g, CAMERA, 1.0) - image
    ground = (g.ids == geometry.GROUND_ID).reshape(200, 400)
    assert (added[~ground] == 0).all() and added[ground].max() > 0.05
    light = added[..., 0]
    weight = light / light.sum()
    column = float((weight * (np.arange(400) + 0.5)).sum())
    row = int(light.sum(1).argmax())
    assert column == pytest.approx(200 + 200 * 1 / 20, abs=1.5)  # x / z in pixels
    assert row == pytest.approx(100 + 200 * (1.5 + 3.0) / 20, abs=3)  # (camera + lamp height) / z
    np.testing.assert_allclose(added[..., 1], light / 2, rtol=1e-4, atol=1e-6)
    assert (added[..., 2] == 0).all()


def test_the_share_grows_with_water_and_with_the_flatness_of_the_view() -> None:
    image, g = _scene()
    full, half = (add_reflections(image, g, CAMERA, wet) - image for wet in (1.0, 0.5))
    np.testing.assert_allclose(half, full / 2, rtol=1e-4, atol=1e-6)
    assert add_reflections(image, g, CAMERA, 0.0) is image
    near, far = full[185:, :, 0].sum(), full[120:135, :, 0].sum()
    assert far > 5 * near


def test_nothing_bright_nothing_mirrored() -> None:
    image, g = _scene()
    dark = np.minimum(image, 0.2)
    np.testing.assert_array_equal(add_reflections(dark, g, CAMERA, 1.0), dark)
