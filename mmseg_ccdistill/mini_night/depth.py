"""Depth of a rendered street, and the camera that saw it: what a warp between two views is tested with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import geometry
from .geometry import Camera
from .layout import make_street
from .render import View, make_camera
from .traffic import add_traffic
from .world import World, make_world


def scene_depth(
    world: str | World,
    street_seed: int,
    *,
    night: bool = False,
    view: View | None = None,
    traffic_seed: int = 0,
    size: tuple[int, int] = (512, 256),
    seed: int = 0,
) -> tuple[npt.NDArray[np.float32], Camera]:
    """Depth of the opaque surfaces of the picture that ``render_scene`` makes of the same arguments.

    Args:
        world: ``'S'``, ``'T'``, or a world from :func:`make_world`.
        street_seed: Which street.
        night: Whether the traffic of the night is on it.
        view: Camera offset; default the mount itself.
        traffic_seed: Which moment.
        size: Width and height in pixels.
        seed: Renderer seed of the world, used when ``world`` is a name.

    Returns:
        Metres along the optical axis, float32 (H, W), 600 in the sky; and the camera.
    """
    home = make_world(world, seed) if isinstance(world, str) else world
    street = make_street(home, street_seed)
    rng = np.random.default_rng([home.seed, ord(home.name), street_seed, traffic_seed, 3])
    camera = make_camera(home, street, view or View(), size, rng)
    mesh = add_traffic(street, traffic_seed, night)
    table, rays, _, solid = geometry.rasterize(mesh, camera)
    located = geometry.locate(table, solid, rays, camera)
    return located.depth.reshape(camera.height, camera.width), camera
