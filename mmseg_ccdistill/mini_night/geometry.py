"""Meshes of planar polygons and the geometry of every pixel.

World frame: x right, y up, z forward along the street, ground at y = 0, metres. Visibility is
painter's: polygons are filled back to front into an id image, and depth, position, normal and
texture coordinates follow per pixel from the plane of the polygon that won.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from .world import SKY, Color, FloatArray

IntArray = npt.NDArray[np.int32]
Point = tuple[float, float, float]

SKY_ID, GROUND_ID = 0, 1
NEAR = 0.7
FAR = 600.0
# Kinds of surface: which function of materials.py colours a polygon.
FLAT, FACADE, BRICK, LEAF, LATTICE, COACH, GLASS, WHEEL, TILES, ROUND, RETRO, HEDGE = range(12)
SEE_THROUGH = (LATTICE, WHEEL)


@dataclass
class Light:
    """A point light of the night scene.

    Attributes:
        position: World position.
        intensity: Linear RGB irradiance at 1 m.
        down: Whether it shines downwards only.
        source: What it belongs to.
    """

    position: Point
    intensity: Color
    down: bool = False
    source: Literal['lamp', 'shop', 'signal', 'vehicle'] = 'vehicle'


@dataclass
class Mesh:
    """Growing list of planar polygons with their materials, plus lights and shadow casters."""

    points: list[Point] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    casters: list[tuple[list[tuple[float, float]], float, bool]] = field(default_factory=list)

    def add(
        self,
        points: Sequence[Point],
        label: int,
        color: Color,
        *,
        key: float,
        kind: int = FLAT,
        color2: Color = (0.0, 0.0, 0.0),
        params: Sequence[float] = (),
        origin: Point | None = None,
        center: Point | None = None,
        night: Color = (0.0, 0.0, 0.0),
        day: float = 0.0,
    ) -> None:
        """Append a planar polygon.

        Args:
            points: Corners in order; the first three must not be collinear.
            label: Train id, 0..18, or 255.
            color: Main sRGB colour.
            key: Painter's key in metres along the street: larger is painted earlier, ties in order
            of insertion.
            kind: Kind of surface.
            color2: Second sRGB colour of the kind.
            params: Up to eight numbers that the kind interprets.
            origin: Where the texture coordinates start; default the first corner.
            center: A point inside the closed object: the face looks away from it and is culled from
            behind. Without it
                the polygon is two-sided.
            night: Emitted linear radiance at night.
            day: Share of ``night`` that is also emitted by day.
        """
        fill = tuple(params) + (0.0,) * (8 - len(params))
        one_sided = center is not None
        self.points.extend(points)
        self.counts.append(len(points))
        self.rows.append(
            (
                label,
                kind,
                key,
                one_sided,
                *(center or (0.0, 0.0, 0.0)),
                *(origin or points[0]),
                *color,
                *color2,
                *night,
                day,
                *fill,
            )
        )


@dataclass
class Camera:
    """Pinhole camera; yaw (right), pitch (down) and roll in radians, focal length in pixels."""

    x: float
    y: float
    z: float
    yaw: float
    pitch: float
    roll: float
    focal: float
    width: int
    height: int

    def rotation(self) -> npt.NDArray[np.float64]:
        """Rows are the camera's right, down and forward axes in world coordinates, shape (3, 3)."""
        cy, sy, cp, sp = np.cos(self.yaw), np.sin(self.yaw), np.cos(self.pitch), np.sin(self.pitch)
        forward = np.array([sy * cp, -sp, cy * cp])
        right = np.array([cy, 0.0, -sy])
        down = np.cross(right, forward)
        cr, sr = np.cos(self.roll), np.sin(self.roll)
        return np.stack([cr * right + sr * down, cr * down - sr * right, forward])

    def rays(self) -> FloatArray:
        """Directions through the pixel centres, unit depth along the optical axis, (3, H*W)."""
        u = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        v = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal
        rot = self.rotation()
        out = np.empty((3, self.height, self.width), np.float32)
        for i in range(3):
            out[i] = u[None, :] * rot[0, i] + (v[:, None] * rot[1, i] + rot[2, i])
        return out.reshape(3, -1)


Table = dict[str, npt.NDArray[Any]]


@dataclass
class GBuffer:
    """Geometry of N pixels.

    Attributes:
        ids: Polygon ids (N,).
        depth: Depth along the optical axis in metres (N,).
        position: World position (3, N).
        normal: Unit normal (3, N).
        uv: Texture coordinates in metres (2, N).
    """

    ids: IntArray
    depth: FloatArray
    position: FloatArray
    normal: FloatArray
    uv: FloatArray


def _clip_near(poly: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Clip a polygon in camera coordinates, shape (K, 3), to depth >= NEAR."""
    out: list[npt.NDArray[np.float64]] = []
    for a, b in zip(poly, np.roll(poly, -1, axis=0), strict=True):
        if a[2] >= NEAR:
            out.append(a)
        if (a[2] >= NEAR) != (b[2] >= NEAR):
            out.append(a + (b - a) * ((NEAR - a[2]) / (b[2] - a[2])))
    return np.array(out).reshape(-1, 3)


def _tables(mesh: Mesh, camera: Camera) -> tuple[Table, npt.NDArray[np.float64]]:
    """Per-polygon planes, texture frames and materials; all world points, shape (V, 3)."""
    points = np.array(mesh.points, np.float64)
    rows = np.array(mesh.rows, np.float64)
    starts = np.concatenate([[0], np.cumsum(mesh.counts)[:-1]])
    first = points[starts]
    normal = np.cross(points[starts + 1] - first, points[starts + 2] - first)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    one_sided = rows[:, 3] > 0
    eye = np.array([camera.x, camera.y, camera.z])
    outward = np.where(one_sided[:, None], first - rows[:, 4:7], eye - first)
    normal[(normal * outward).sum(1) < 0] *= -1
    faces_eye = ((eye - first) * normal).sum(1) > 0
    flat = np.abs(normal[:, 1]) > 0.99
    right = np.cross(np.array([0.0, 1.0, 0.0]), normal)
    right[flat] = (1.0, 0.0, 0.0)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    right *= np.where(right[:, 2:3] + 0.5 * right[:, 0:1] < 0, -1.0, 1.0)
    up = np.cross(normal, right)
    up *= np.where((up[:, 1:2] < -1e-6) | (flat[:, None] & (up[:, 2:3] < 0)), -1.0, 1.0)

    def with_background(values: npt.NDArray[np.float64], ground: Sequence[float]) -> FloatArray:
        width = values.shape[1]
        head = np.zeros((2, width))
        head[1] = np.asarray(ground)
        return np.concatenate([head, values]).astype(np.float32)

    table: Table = {
        'normal': with_background(normal, (0, 1, 0)),
        'offset': with_background((normal * first).sum(1, keepdims=True), (0,))[:, 0],
        'right': with_background(right, (1, 0, 0)),
        'up': with_background(up, (0, 0, 1)),
        'origin': with_background(rows[:, 7:10], (0, 0, 0)),
        'color': with_background(rows[:, 10:13], (0, 0, 0)),
        'color2': with_background(rows[:, 13:16], (0, 0, 0)),
        'night': with_background(rows[:, 16:19], (0, 0, 0)),
        'day': with_background(rows[:, 19:20], (0,))[:, 0],
        'params': with_background(rows[:, 20:28], (0,) * 8),
        'label': np.concatenate([[SKY, 255], rows[:, 0]]).astype(np.uint8),
        'kind': np.concatenate([[-1, -2], rows[:, 1]]).astype(np.int8),
        'order': np.lexsort((np.arange(len(rows)), -rows[:, 2])),
        'visible': faces_eye | ~one_sided,
    }
    return table, points


def rasterize(mesh: Mesh, camera: Camera) -> tuple[Table, FloatArray, IntArray, IntArray]:
    """Paint the mesh back to front.

    Args:
        mesh: The scene.
        camera: The view.

    Returns:
        The per-polygon tables (row 0 sky, row 1 ground), the rays (3, N), the id image (N,) of all
        polygons, and the id image (N,) of the opaque polygons alone, which shows what lies behind
        the gaps of a see-through polygon.
    """
    table, points = _tables(mesh, camera)
    rot = camera.rotation()
    cam = (points - np.array([camera.x, camera.y, camera.z])) @ rot.T
    starts = np.concatenate([[0], np.cumsum(mesh.counts)])
    nearest = np.minimum.reduceat(cam[:, 2], starts[:-1])
    farthest = np.maximum.reduceat(cam[:, 2], starts[:-1])
    depth = np.maximum(cam[:, 2], NEAR)
    half = np.array([camera.width / 2, camera.height / 2])
    pixels = cam[:, :2] * (camera.focal / depth)[:, None] + half
    rays = camera.rays()
    ids = (
        np.where(rays[1] < -1e-4, GROUND_ID, SKY_ID)
        .astype(np.int32)
        .reshape(camera.height, camera.width)
    )
    solid = ids.copy()
    fixed = np.round((pixels - 0.5) * 16).astype(np.int64).clip(-(2**24), 2**24).astype(np.int32)
    see_through = np.isin(table['kind'][2:], SEE_THROUGH)
    order, visible = table['order'], table['visible']
    for row in order[visible[order] & (farthest[order] > NEAR)].tolist():
        a, b = starts[row], starts[row + 1]
        if nearest[row] < NEAR:
            clipped = _clip_near(cam[a:b])
            xy = clipped[:, :2] * (camera.focal / clipped[:, 2:3]) + half
            shape = np.round((xy - 0.5) * 16).clip(-(2**24), 2**24).astype(np.int32)
        else:
            shape = fixed[a:b]
        cv2.fillPoly(ids, [shape], int(row) + 2, cv2.LINE_8, 4)
        if not see_through[row]:
            cv2.fillPoly(solid, [shape], int(row) + 2, cv2.LINE_8, 4)
    return table, rays, ids.reshape(-1), solid.reshape(-1)


def locate(table: Table, ids: IntArray, rays: FloatArray, camera: Camera) -> GBuffer:
    """Intersect the rays (3, N) with the planes of the polygons ``ids`` (N,)."""
    eye = np.array([camera.x, camera.y, camera.z], np.float32)
    numerator = table['offset'] - table['normal'] @ eye
    normal = np.ascontiguousarray(table['normal'][ids].T)
    slope = normal[0] * rays[0] + normal[1] * rays[1] + normal[2] * rays[2]
    slope[np.abs(slope) < 1e-6] = -1e-6
    depth = numerator[ids] / slope
    depth[ids == SKY_ID] = FAR
    np.clip(depth, 0.2, FAR, out=depth)
    position = rays * depth
    position += eye[:, None]
    uv = np.empty((2, len(ids)), np.float32)
    for i, name in enumerate(('right', 'up')):
        axis = np.ascontiguousarray(table[name][ids].T)
        start = (table['origin'] * table[name]).sum(1)
        uv[i] = axis[0] * position[0] + axis[1] * position[1] + axis[2] * position[2] - start[ids]
    return GBuffer(ids, depth, position, normal, uv)
