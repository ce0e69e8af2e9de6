"""The prediction on a dark image, corrected by that on the day image of the same place.

GCMA (Sakaridis et al., ICCV 2019) filters the day prediction with the dark image as guide; MGCDA (TPAMI 2020) brings it
into the dark view by geometry, and filters where that fails. Both then fuse the two by confidence.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import UserInputError
from .alignment_report import How
from .camera import Seen, intrinsics, resizing, rotation_degrees, see_from
from .camera_motion import camera_motion
from .confidence_fusion import fuse
from .depth_map import check_depth, with_far_sky
from .grid_filter import grid_filter
from .homography import find_homography, see_plane
from .lab_guide import lab_guide
from .quad_warp import IRREGULAR, UNASSIGNED, quad_warp
from .refinement_settings import RefinementSettings
from .root_sift import common_points
from .window_filter import window_filter

Array = npt.NDArray[np.float64]
Image = npt.NDArray[np.uint8]


def refine_day_night(
    p_dark: npt.NDArray[np.floating],
    p_day: npt.NDArray[np.floating] | None,
    image_dark: Image,
    image_day: Image | None,
    settings: RefinementSettings,
    depth: npt.NDArray[np.floating] | None = None,
) -> tuple[npt.NDArray[np.floating], How]:
    """Refine the probabilities of a dark image by those of its day image.

    Args:
        p_dark: Probabilities, ``(h, w, K)``, on any grid over the image (the network's stride is enough).
        p_day: The same of the day image, by the unadapted network. None: the image has no correspondence; ``p_dark``
            is returned as it is.
        image_dark: uint8 BGR ``(H, W, 3)``.
        image_day: uint8 BGR of the same size, or None as ``p_day``.
        settings: How to align and fuse.
        depth: Depth of the day image in metres, ``(H, W)``, for ``align='geometry'``. None: there is none for this
            pair; a homography is tried, then the filter is taken.

    Returns:
        Refined probabilities, of the shape and type of ``p_dark``, and what was done: plain values that JSON can
        hold, counted over a data set by :func:`count_alignments`.

    Raises:
        UserInputError: If sizes do not fit, values are no probabilities, or the depth is no metres.
    """
    _check_probabilities('p_dark', p_dark)
    settings.check_classes(p_dark.shape[2])
    if p_day is None or image_day is None:
        return p_dark, How(kind='alone', reason='no day image')
    _check_probabilities('p_day', p_day)
    _check_pair(p_dark, p_day, image_dark, image_day)
    if depth is not None:
        check_depth(depth, (image_day.shape[0], image_day.shape[1]))
    dark, day = p_dark.astype(np.float64), p_day.astype(np.float64)
    aligned, covered, how = into_dark_view(day, image_dark, image_day, settings, depth)
    fused, doubted = fuse(
        dark,
        aligned,
        settings.dynamic_classes,
        settings.day_weight,
        settings.low_day_weight,
    )
    if settings.unassigned == 'dark':
        fused[~covered] = dark[~covered]
    changed = fused.argmax(-1) != dark.argmax(-1)
    how['dark_confidence'] = float(dark.max(-1).mean())
    how['day_confidence'] = float(aligned.max(-1).mean())
    how['doubted'] = float(doubted.mean())
    how['changed'] = float(changed.mean())
    how['changed_by_class'] = _share_by_class(changed, dark.argmax(-1), dark.shape[2])
    return fused.astype(p_dark.dtype), how


def into_dark_view(
    day: Array,
    image_dark: Image,
    image_day: Image,
    settings: RefinementSettings,
    depth: npt.NDArray[np.floating] | None,
) -> tuple[Array, npt.NDArray[np.bool_], How]:
    """Bring the day prediction into the dark view.

    Args:
        day: Probabilities of the day image, float64 ``(h, w, K)``.
        image_dark: As in :func:`refine_day_night`.
        image_day: The same.
        settings: The same.
        depth: The same.

    Returns:
        Probabilities in the dark view, which pixels the day image covers (bool ``(h, w)``; the others have the
        unwarped day), and how it came there.
    """
    if settings.align == 'filter':
        return _filtered(day, image_dark, settings, How(kind='filtered', reason=None))
    points_day, points_dark = common_points(image_day, image_dark, settings.equalize)
    if settings.align == 'geometry' and depth is not None:
        seen, how = _seen_by_motion(day, points_day, points_dark, settings, depth)
    else:
        seen, how = _seen_by_plane(
            day, points_day, points_dark, (image_day.shape[0], image_day.shape[1])
        )
        if settings.align == 'geometry':
            fault = how['reason']
            how['reason'] = 'no depth' if fault is None else f'no depth, and {fault}'
    if seen is None:
        return _filtered(day, image_dark, settings, how)
    warped = quad_warp(day, seen.places, seen.depth, seen.ahead)
    covered = warped.source != UNASSIGNED
    how['unassigned'] = float(1 - covered.mean())
    how['irregular'] = float((warped.source == IRREGULAR).mean())
    return np.where(covered[..., None], warped.values, day), covered, how


def _filtered(
    day: Array, image_dark: Image, settings: RefinementSettings, how: How
) -> tuple[Array, npt.NDArray[np.bool_], How]:
    """The day prediction smoothed along the edges of the dark image."""
    height, width = day.shape[:2]
    guide = lab_guide(image_dark, (height, width))
    spread = settings.space * width
    if settings.filter == 'grid':
        smooth = grid_filter(day, guide, spread, spread / 4, settings.colour, settings.colour)
        smooth /= smooth.sum(-1, keepdims=True)
    else:
        step = max(1, round(spread / 4))
        radius = step * max(1, round(spread / step))
        smooth = window_filter(day, guide, spread, settings.colour, radius, step)
    return smooth, np.ones((height, width), dtype=bool), how


def _seen_by_motion(
    day: Array,
    points_day: Array,
    points_dark: Array,
    settings: RefinementSettings,
    depth: npt.NDArray[np.floating],
) -> tuple[Seen | None, How]:
    """Places of the day's pixels by the motion of the camera and depth."""
    size, grid = (depth.shape[0], depth.shape[1]), (day.shape[0], day.shape[1])
    sky = np.zeros(grid, dtype=bool)
    if settings.sky_class is not None:
        sky = day.argmax(-1) == settings.sky_class
    camera = intrinsics(size, settings.field_of_view)
    metres = depth.astype(np.float64)
    motion = camera_motion(points_day, points_dark, metres, _nearest(sky, size), camera)
    how = How(
        kind='filtered' if motion.fault else 'warped',
        reason=motion.fault,
        matches=len(points_day),
        inliers=motion.inliers,
    )
    if motion.translation.any():
        how['distance'] = float(np.linalg.norm(motion.translation))
        how['rotation'] = rotation_degrees(motion.rotation)
    if motion.fault:
        return None, how
    far = with_far_sky(_nearest(metres, grid), sky)
    small = resizing(size, grid) @ camera
    return see_from(far, small, motion.rotation, motion.translation), how


def _seen_by_plane(
    day: Array, points_day: Array, points_dark: Array, size: tuple[int, int]
) -> tuple[Seen | None, How]:
    """Places of the day's pixels by a homography."""
    plane = find_homography(points_day, points_dark)
    how = How(
        kind='filtered' if plane.fault else 'homography',
        reason=plane.fault,
        matches=len(points_day),
        inliers=plane.inliers,
    )
    if plane.fault:
        return None, how
    grid = (day.shape[0], day.shape[1])
    small = resizing(size, grid)
    return see_plane(small @ plane.matrix @ np.linalg.inv(small), grid), how


def _nearest(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Resize to the nearest pixel: depths of two objects never mix."""
    if values.shape == size:
        return values
    kept = values.astype(np.uint8) if values.dtype == bool else values
    resized = cv2.resize(kept, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.astype(values.dtype)


def _share_by_class(changed: npt.NDArray[np.bool_], label: Array, num_classes: int) -> list[float]:
    """Share of the pixels of each class whose label the day has changed; 0 for a class without pixels."""
    total = np.bincount(label.reshape(-1), minlength=num_classes)
    count = np.bincount(label.reshape(-1), changed.reshape(-1), minlength=num_classes)
    return [float(share) for share in count / np.maximum(total, 1)]


def _check_probabilities(name: str, p: npt.NDArray[np.floating]) -> None:
    """Raise unless this is ``(h, w, K)`` and sums to 1: logits must not be fused."""
    if p.ndim != 3 or not np.issubdtype(p.dtype, np.floating):
        raise UserInputError(
            f'{name} is {p.dtype} of shape {p.shape}: expected probabilities (h, w, K).'
        )
    if not (p.min() >= 0 and abs(p.sum(-1, dtype=np.float64) - 1).max() < 0.01):
        raise UserInputError(
            f'{name} does not sum to 1 over its last axis: expected probabilities; take the softmax.'
        )


def _check_pair(
    p_dark: npt.NDArray[np.floating],
    p_day: npt.NDArray[np.floating],
    image_dark: Image,
    image_day: Image,
) -> None:
    """Raise unless the two of a pair have one size."""
    for what, dark, day in (
        ('predictions', p_dark.shape, p_day.shape),
        ('images', image_dark.shape, image_day.shape),
    ):
        if dark != day:
            raise UserInputError(
                f'the {what} of a pair have the shapes {dark} (dark) and {day} (day): expected one shape; a pair is '
                'of one camera, so resize both images to one size before predicting.'
            )
