"""Depth of the day image: files of Monodepth2, files of metres, and the sky far away."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import UserInputError

Array = npt.NDArray[np.float64]

# Monodepth2, trained on stereo pairs (Godard et al., ICCV 2019): disparity 0.01..10 in units of its own baseline;
# 5.4 brings it to metres of KITTI.
_LOW_DISPARITY, _HIGH_DISPARITY, _METRES = 0.01, 10.0, 5.4
#: Depth of the sky in metres: that of Monodepth2's smallest disparity.
SKY_DEPTH = _METRES / _LOW_DISPARITY
#: Train id of the sky.
SKY_CLASS = 10
# Between these lies the median depth of a street, in metres. Disparities and millimetres do not.
_LEAST_MEDIAN, _MOST_MEDIAN = 1.0, 1000.0
# The lowest rows of a map are this part of it. The road there is nearer than all that stands on it (ours).
_LOWEST = 10


def monodepth2_metres(levels: npt.NDArray[np.uint16]) -> Array:
    r"""Depth of the files that MGCDA links: :math:`5.4 / (0.01 + 9.99\, u / 65535)` metres.

    Args:
        levels: u, uint16, any shape: the sigmoid that Monodepth2 puts out, from 0 (540 m) to 65535 (0.54 m).
    """
    share = np.asarray(levels, dtype=np.float64) / 65535
    return _METRES / (_LOW_DISPARITY + (_HIGH_DISPARITY - _LOW_DISPARITY) * share)


def find_depth(root: str | Path, stem: str) -> Path | None:
    """File of depth of a day image, or None.

    Args:
        root: Folder of the depth files.
        stem: Name of the day image without its ending.

    Raises:
        UserInputError: If there are two.
    """
    found = [path for end in ('.png', '.npy') if (path := Path(root) / f'{stem}{end}').is_file()]
    if len(found) > 1:
        raise UserInputError(f'{found[0]} and {found[1]} are both there: leave the one to be read.')
    return found[0] if found else None


def read_depth(path: str | Path, size: tuple[int, int]) -> Array:
    """Read a file of depth.

    Args:
        path: ``.png``, 16 bit and one channel, as Monodepth2 (:func:`monodepth2_metres`); or ``.npy``, floating
            point, metres.
        size: Height and width of the day image.

    Returns:
        Metres, float64 ``(H, W)``.

    Raises:
        UserInputError: If the file is neither, cannot be read, has another size, or holds no metres.
    """
    path = Path(path)
    if path.suffix == '.npy':
        try:
            depth = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise UserInputError(
                f'{path} cannot be read as an array: {error}; make it again.'
            ) from error
        if not np.issubdtype(depth.dtype, np.floating):
            raise UserInputError(
                f'{path} holds {depth.dtype}: expected metres in floating point; convert it, or write 16-bit '
                'disparities of Monodepth2 as .png.'
            )
    else:
        levels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None
        if levels is None or levels.dtype != np.uint16 or levels.ndim != 2:
            what = 'no image' if levels is None else f'{levels.dtype} of shape {levels.shape}'
            raise UserInputError(
                f'{path} holds {what}: expected the 16-bit disparities of Monodepth2 in one channel; write other '
                'depth as .npy in metres.'
            )
        depth = monodepth2_metres(levels)
    check_depth(depth, size, str(path))
    return np.asarray(depth, dtype=np.float64)


def check_depth(
    depth: npt.NDArray[np.floating], size: tuple[int, int], name: str = 'depth'
) -> None:
    """Check size and unit of a map of depth.

    Args:
        depth: The map.
        size: Height and width of the day image.
        name: What to call it.

    Raises:
        UserInputError: If the size is another, a value is not positive or not finite, the median is none that a
            street has, or the lowest rows, where the road is near, are farther than the upper half.
    """
    if depth.shape != size:
        raise UserInputError(
            f'{name} has the shape {depth.shape}: expected that of the day image, {size}; resize it, as disparity '
            'rather than as depth.'
        )
    if not np.issubdtype(depth.dtype, np.floating):
        raise UserInputError(
            f'{name} holds {depth.dtype}: expected metres in floating point; convert it.'
        )
    if not np.isfinite(depth).all() or depth.min() <= 0:
        raise UserInputError(
            f'{name} holds values that are not finite or not positive: expected metres; give the sky a large depth.'
        )
    median = float(np.median(depth))
    if not _LEAST_MEDIAN <= median <= _MOST_MEDIAN:
        raise UserInputError(
            f'{name} has the median {median:.4g}: expected metres, {_LEAST_MEDIAN:g} to {_MOST_MEDIAN:g} in a street; '
            'convert disparities and millimetres.'
        )
    height = len(depth)
    above = float(np.median(depth[: max(1, height // 2)]))
    below = float(np.median(depth[-max(1, height // _LOWEST) :]))
    if below > above:
        raise UserInputError(
            f'{name} has the median {above:.4g} in its upper half and {below:.4g} in its lowest rows: expected metres, '
            'which are small where the road is near; convert disparities.'
        )


def with_far_sky(depth: npt.ArrayLike, sky: npt.ArrayLike) -> Array:
    """Put the sky at :data:`SKY_DEPTH`.

    Args:
        depth: Metres, ``(H, W)``.
        sky: Where the guide's labels say sky, bool ``(H, W)``.

    Returns:
        A copy, float64 ``(H, W)``.
    """
    return np.where(np.asarray(sky, dtype=bool), SKY_DEPTH, np.asarray(depth, dtype=np.float64))
