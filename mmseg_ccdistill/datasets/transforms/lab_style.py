"""The light of a random twilight or night image on a labelled day image: the LAB transfer as a transform of one image.

GCMA (Sakaridis et al., ICCV 2019) translates the labelled images with a CycleGAN that is trained on them and on
the darker images. Here the transfer of CCDistill stands in its place: mean and spread of each LAB channel, nothing
local, no lamps.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...errors import UserInputError
from .lab_transfer import lab_statistics, lab_transfer, recorded_statistics
from .style_folder import StyleFolder


@TRANSFORMS.register_module()
class LABStyle(BaseTransform):
    """Give an image the LAB statistics of a random one of a folder.

    The statistics of a style image are those of the whole image. Each process keeps them: a file is read once.

    Required Keys:

    - img (uint8 BGR)

    Modified Keys:

    - img

    Args:
        images: Folder of the style images; sub-folders count.
        suffix: End of their names. Defaults to ``'.png'``.
        stats: ``'full'`` for the statistics of the whole image that the crop was taken from
            (:class:`RecordLABStatistics` takes them), ``'crop'`` for those of the image as it comes here. Defaults to
            ``'full'``.

    Raises:
        UserInputError: If ``stats`` is neither; when the files are listed, if there are none.
    """

    def __init__(self, images: str, suffix: str = '.png', stats: str = 'full') -> None:
        if stats not in ('crop', 'full'):
            raise UserInputError(f"LABStyle got stats={stats!r}: expected 'crop' or 'full'.")
        self.stats = stats
        self.styles = StyleFolder(images, suffix, lab_statistics, 'LABStyle', 'images or suffix')

    def check_files(self) -> None:
        """List the style images and look at each.

        Raises:
            UserInputError: If the folder is missing or holds none, or one cannot be read.
        """
        self.styles.check_files()

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change the image.

        Args:
            results: Results of one image.

        Raises:
            UserInputError: If a style image cannot be read, or the statistics were not recorded.
        """
        chosen = np.random.randint(len(self.styles))
        own = recorded_statistics(results, 'LABStyle') if self.stats == 'full' else None
        image = results['img']
        results['img'] = lab_transfer(
            image, image, source_stats=own, reference_stats=self.styles.style(chosen)
        )
        return results

    def __repr__(self) -> str:
        """Name the transform and its arguments."""
        return (
            f'{type(self).__name__}(images={self.styles.images!r}, suffix={self.styles.suffix!r}, '
            f'stats={self.stats!r})'
        )
