"""S_n from S_d and T_n: alignment of mean and variance in the CIELAB space (CCDistill).

The paper says "we first align the mean and variance of S_d with T_n in the LAB space to get S_n".
Per LAB channel

    x' = (x - mu_S) * k + mu_T,    k = sigma_T / sigma_S,

with population standard deviations in float64. The conversions run in float32 (L in 0..100, a and b
about -128..127): the 8-bit LAB of public colour-transfer code is off by up to 28 grey levels, and
OpenCV's own sRGB-to-LAB path interpolates in a table, which costs up to 0.3 LAB units.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...cielab import bgr_to_lab
from ...errors import UserInputError
from ...runtime.random_state import side_stream
from .style_folder import StyleFolder

#: Mean and population standard deviation of L, a and b; two float64 arrays ``(3,)``.
LABStatistics = tuple[np.ndarray, np.ndarray]

#: Below this standard deviation (LAB units) a source channel counts as constant and is only
#: shifted: k = 1.
MIN_STD = 1e-3

#: Stream of the random numbers, see ``side_stream``.
_STREAM = 13

_STATISTICS_KEY = 'lab_statistics'


def lab_to_bgr(lab: np.ndarray) -> np.ndarray:
    """Convert CIELAB, float32 ``(H, W, 3)``, to uint8 BGR, rounded to the nearest grey level.

    Colours outside the sRGB gamut are clipped, never wrapped.
    """
    # cv2 clips its float output to [0, 1]; the absolute value of convertScaleAbs changes nothing
    return cv2.convertScaleAbs(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), alpha=255.0)


def _statistics(lab: np.ndarray) -> LABStatistics:
    mean, std = cv2.meanStdDev(lab)  # accumulates in float64; population standard deviation
    return mean.ravel(), std.ravel()


def lab_statistics(image: np.ndarray) -> LABStatistics:
    """Mean and population standard deviation of L, a, b of a uint8 BGR image ``(H, W, 3)``; each float64 ``(3,)``."""
    return _statistics(bgr_to_lab(image))


def align_lab(
    lab: np.ndarray, source_stats: LABStatistics, reference_stats: LABStatistics
) -> np.ndarray:
    """Move the statistics of a LAB image: x' = (x - mu_S) sigma_T / sigma_S + mu_T.

    Args:
        lab: float32 ``(H, W, 3)``.
        source_stats: Mean and standard deviation to be replaced, each ``(3,)``.
        reference_stats: Mean and standard deviation to be reached, each ``(3,)``.

    Returns:
        float32 ``(H, W, 3)``, not clipped: L may be negative and colours may lie outside the sRGB
        gamut. Channels whose source deviation is below :data:`MIN_STD` keep their scale.
    """
    source_mean, source_std = (np.asarray(value, dtype=np.float64) for value in source_stats)
    target_mean, target_std = (np.asarray(value, dtype=np.float64) for value in reference_stats)
    constant = source_std < MIN_STD
    gain = np.where(constant, 1.0, target_std / np.where(constant, 1.0, source_std))
    affine = np.column_stack([np.diag(gain), target_mean - gain * source_mean])
    return cv2.transform(lab, affine)


def lab_transfer(
    source: np.ndarray,
    reference: np.ndarray,
    *,
    source_stats: LABStatistics | None = None,
    reference_stats: LABStatistics | None = None,
) -> np.ndarray:
    """Give ``source`` the LAB mean and variance of ``reference`` (S_n from S_d and T_n).

    Args:
        source: Image to change, uint8 BGR ``(H, W, 3)``; not modified.
        reference: Image to resemble, uint8 BGR ``(h, w, 3)``; unused if ``reference_stats`` is
            given.
        source_stats: Mean and standard deviation, each ``(3,)``, that stand for ``source``, e.g.
            those of the whole image it was cropped from. Defaults to the statistics of ``source``,
            as the paper does not say which.
        reference_stats: The same for ``reference``.

    Returns:
        uint8 BGR ``(H, W, 3)``: clipped to the sRGB gamut and rounded.

    Raises:
        TypeError: If an image is not uint8 with three channels.
    """
    lab = bgr_to_lab(source)
    if source_stats is None:
        source_stats = _statistics(lab)
    if reference_stats is None:
        reference_stats = lab_statistics(reference)
    return lab_to_bgr(align_lab(lab, source_stats, reference_stats))


def copy_results(results: dict, img: np.ndarray) -> dict:
    """Copy the results of one domain with another image; no array is shared with the original.

    Labels and geometry are equal, ``img`` is the given array itself.
    """
    copied = {
        key: value.copy() if isinstance(value, (np.ndarray, list)) else value
        for key, value in results.items()
        if key != 'img'
    }
    copied['img'] = img
    return copied


@TRANSFORMS.register_module()
class RecordLABStatistics(BaseTransform):
    """Record the LAB statistics of the whole image, before cropping.

    ``LABTransfer(stats='full')`` needs them of both images.

    Required Keys:

    - img (uint8 BGR)

    Added Keys:

    - lab_statistics (mean and standard deviation, each float64 ``(3,)``)
    """

    def transform(self, results: dict) -> dict:
        """Add the statistics."""
        results[_STATISTICS_KEY] = lab_statistics(results['img'])
        return results

    def __repr__(self) -> str:
        """Name the transform."""
        return f'{type(self).__name__}()'


def recorded_statistics(results: dict, reader: str) -> LABStatistics:
    """Statistics of the whole image, which :class:`RecordLABStatistics` has taken.

    Args:
        results: Results of one image.
        reader: Name of the transform that reads them, for the message.

    Raises:
        UserInputError: If there are none.
    """
    if _STATISTICS_KEY not in results:
        raise UserInputError(
            f"{reader}(stats='full') found no statistics of the whole image "
            f"{results.get('img_path')!r}: add dict(type='RecordLABStatistics') "
            'after LoadImageFromFile to the source and the target pipeline.'
        )
    return results[_STATISTICS_KEY]


@TRANSFORMS.register_module()
class LABTransfer(BaseTransform):
    """Make S_n: the source crop with the LAB statistics of the same sample's target night crop.

    Labels and geometry of S_n are those of S_d. The paper does not say which pixels the statistics
    cover; the default takes the two crops that are fed to the network, so that the style of S_n and
    of T_n agree within the sample.

    With ``style_dir``, which is ours, S_n takes the statistics of a random image of a folder, the
    whole of it, in place of T_n's: of real nights where T_n is rendered, or of more nights than have
    a day image. T_n is not read then. Which image it is follows from the draw of the sample; all
    other random numbers stay as they are without it.

    Required Keys:

    - source_day, and without ``style_dir`` target_night (results of the two domains, each with ``img``)

    Added Keys:

    - source_night (results of the new domain)

    Args:
        stats: ``'crop'`` for the statistics of the crops, ``'full'`` for those of the whole images,
            which :class:`RecordLABStatistics` takes in both pipelines. With ``style_dir`` it says so of S_d alone.
            Defaults to ``'crop'``.
        style_dir: Folder of night images, unlabelled; sub-folders count. Defaults to None: T_n gives the style.
        style_suffix: End of their names, or several. Defaults to JPEG and PNG.

    Raises:
        ValueError: If ``stats`` is neither.
    """

    reads: tuple[str, ...] = ('source_day', 'target_night')
    adds = ('source_night',)

    def __init__(
        self,
        stats: str = 'crop',
        style_dir: str | None = None,
        style_suffix: str | Sequence[str] = ('.jpg', '.jpeg', '.png'),
    ) -> None:
        if stats not in ('crop', 'full'):
            raise UserInputError(f"LABTransfer got stats={stats!r}: expected 'crop' or 'full'.")
        self.stats = stats
        self.styles: StyleFolder[LABStatistics] | None = None
        if style_dir is not None:
            suffix = style_suffix if isinstance(style_suffix, str) else tuple(style_suffix)
            self.styles = StyleFolder(
                style_dir, suffix, lab_statistics, 'LABTransfer', 'style_dir or style_suffix'
            )
            self.reads = ('source_day',)

    def check_files(self) -> None:
        """List the images of ``style_dir`` and look at each.

        Raises:
            UserInputError: If the folder is missing or holds none, or one cannot be read.
        """
        if self.styles is not None:
            self.styles.check_files()

    def transform(self, results: dict) -> dict:
        """Add ``source_night``.

        Raises:
            ValueError: If a domain is missing, ``stats='full'`` and a pipeline did not record the
                statistics, or an image of ``style_dir`` cannot be read.
        """
        missing = [domain for domain in self.reads if domain not in results]
        if missing:
            raise ValueError(
                f'LABTransfer found {sorted(results)} and no {missing[0]!r}: expected {self.reads}; take a dataset '
                'that returns it, or take LABTransfer out of the pipeline.'
            )
        source = results['source_day']
        source_stats = recorded_statistics(source, 'LABTransfer') if self.stats == 'full' else None
        image = lab_transfer(
            source['img'],
            source['img'],
            source_stats=source_stats,
            reference_stats=self._night_statistics(results),
        )
        results['source_night'] = copy_results(source, image)
        return results

    def _night_statistics(self, results: dict) -> LABStatistics:
        """Those that S_n gets."""
        if self.styles is not None:
            return self.styles.style(side_stream(_STREAM).randint(len(self.styles)))
        night = results['target_night']
        if self.stats == 'full':
            return recorded_statistics(night, 'LABTransfer')
        return lab_statistics(night['img'])

    def __repr__(self) -> str:
        """Name the transform and its arguments."""
        style = (
            f', style_dir={self.styles.images!r}, style_suffix={self.styles.suffix!r}'
            if self.styles is not None
            else ''
        )
        return f'{type(self).__name__}(stats={self.stats!r}{style})'
