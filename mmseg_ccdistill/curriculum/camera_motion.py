"""How the camera of the dark image stands to that of the day image, from common points and the depth of the day.

MGCDA with one change: the essential matrix comes from the five-point method (Nister, TPAMI 2004; OpenCV) instead of a
seven-point fundamental matrix and eight-point least squares. It uses the known intrinsics and finds more inliers.
The pose is then made better on all of these.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from .camera import rotation_degrees
from .pose_polish import polish

Array = npt.NDArray[np.float64]

#: Fewest matches, and fewest inliers, of a motion (MGCDA's code).
MIN_INLIERS = 14
#: Most distance of an inlier to its epipolar line in pixels (MGCDA's code).
EPIPOLAR_DISTANCE = 2.0
#: A pair shows the same place: the cameras are at most so far apart, in metres, and turned by so many degrees (ours).
MAX_DISTANCE, MAX_ROTATION = 30.0, 20.0
# A match may be at any distance: OpenCV otherwise leaves out points beyond 50 baselines.
_ANY_DISTANCE = 1e9


class Pose(NamedTuple):
    """Motion up to the length of its path: X_dark = R X_day + s t.

    Attributes:
        rotation: R, float64 ``(3, 3)``.
        direction: t of length 1, float64 ``(3,)``.
        inliers: Which matches agree, bool ``(N,)``.
        depth: Depth of the matches in the day view in units of s, float64 ``(N,)``; 0 where the rays do not meet
            before both cameras.
    """

    rotation: Array
    direction: Array
    inliers: npt.NDArray[np.bool_]
    depth: Array


class Motion(NamedTuple):
    """Motion of the camera: X_dark = R X_day + t.

    Attributes:
        rotation: R, float64 ``(3, 3)``.
        translation: t in metres, float64 ``(3,)``.
        inliers: Number of matches that agree.
        fault: Why it is of no use, or None.
    """

    rotation: Array
    translation: Array
    inliers: int
    fault: str | None


def relative_pose(day: Array, dark: Array, camera: Array) -> Pose | None:
    """Pose from common points.

    Args:
        day: Places in the day image in pixels, ``(N, 2)``.
        dark: Places of the same points in the dark image, ``(N, 2)``.
        camera: Intrinsic matrix of both, ``(3, 3)``.

    Returns:
        The pose; None with fewer than five points, or where no motion explains any of them. The same points give the
        same pose.
    """
    if len(day) < 5:
        return None
    cv2.setRNGSeed(0)
    day, dark = np.ascontiguousarray(day), np.ascontiguousarray(dark)
    essential, mask = cv2.findEssentialMat(
        day, dark, camera, method=cv2.RANSAC, prob=0.9999, threshold=EPIPOLAR_DISTANCE
    )
    if essential is None or essential.shape != (3, 3):
        return None
    inliers = mask.ravel() > 0
    found: Any = cv2.recoverPose(
        essential, day, dark, camera, distanceThresh=_ANY_DISTANCE, mask=mask.copy()
    )
    rotation, direction = polish(found[1], found[2].ravel(), day[inliers], dark[inliers], camera)
    depth = _depth_by_day(rotation, direction, day, dark, camera)
    return Pose(rotation, direction, inliers, depth)


def _depth_by_day(
    rotation: Array, direction: Array, day: Array, dark: Array, camera: Array
) -> Array:
    """Depth of matches in the day view by triangulation, ``(N,)``; 0 where the rays do not meet before both cameras."""
    first, second = camera @ np.eye(3, 4), camera @ np.column_stack([rotation, direction])
    points = cv2.triangulatePoints(first, second, day.T, dark.T)
    with np.errstate(divide='ignore', invalid='ignore'):
        places = points[:3] / points[3]
    places = np.nan_to_num(places, posinf=0, neginf=0)
    beyond = rotation[2] @ places + direction[2]
    return np.where((places[2] > 0) & (beyond > 0), places[2], 0.0)


def path_length(pose: Pose, depth: npt.ArrayLike, sky: npt.ArrayLike) -> float | None:
    r"""Length s of the path in metres: :math:`\exp(\mathrm{median}(\ln d - \ln Z))`.

    Args:
        pose: The pose, with Z of each match.
        depth: d of each match in the day image in metres, ``(N,)``.
        sky: Which matches are on the sky, bool ``(N,)``; they do not count.

    Returns:
        Metres, or None if no inlier is before the cameras.
    """
    used = pose.inliers & (pose.depth > 0) & ~np.asarray(sky, dtype=bool)
    if not used.any():
        return None
    ratio = np.asarray(depth, dtype=np.float64)[used] / pose.depth[used]
    return float(np.exp(np.median(np.log(ratio))))


def camera_motion(
    day: Array, dark: Array, depth: Array, sky: npt.NDArray[np.bool_], camera: Array
) -> Motion:
    """Motion from the day camera to the dark one.

    Args:
        day: Places in the day image in pixels, ``(N, 2)``.
        dark: Places of the same points in the dark image, ``(N, 2)``.
        depth: Of the day image in metres, ``(H, W)``.
        sky: Its sky, bool ``(H, W)``.
        camera: Intrinsic matrix of both at the size of the images, ``(3, 3)``.

    Returns:
        The motion; with a ``fault`` if there are too few points, or the cameras are too far apart for a pair of one
        place.
    """
    still = np.eye(3), np.zeros(3)
    if len(day) < MIN_INLIERS:
        return Motion(*still, 0, f'fewer than {MIN_INLIERS} matches')
    pose = relative_pose(day, dark, camera)
    if pose is None:
        return Motion(*still, 0, 'no motion fits the matches')
    count = int(pose.inliers.sum())
    if count < MIN_INLIERS:
        return Motion(*still, count, f'fewer than {MIN_INLIERS} inliers')
    limit = np.array(depth.shape[::-1]) - 1
    x, y = np.floor(day + 0.5).astype(np.int64).clip(0, limit).T
    length = path_length(pose, depth[y, x], sky[y, x])
    if length is None:
        return Motion(*still, count, 'no inlier before both cameras')
    translation = length * pose.direction
    fault = None
    if length > MAX_DISTANCE:
        fault = f'the cameras are more than {MAX_DISTANCE:g} m apart'
    elif rotation_degrees(pose.rotation) > MAX_ROTATION:
        fault = f'the cameras are turned by more than {MAX_ROTATION:g} degrees'
    return Motion(pose.rotation, translation, count, fault)
