"""The light of a random twilight or night image on a labelled day image: the LAB transfer as a transform of one image.

GCMA (Sakaridis et al., ICCV 2019) translates the labelled images with a CycleGAN that is trained on them and on
the darker images. Here the transfer of CCDistill stands in its place: mean and spread of each LAB channel, nothing
local, no lamps.
"""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ...errors import UserInputError
from .lab_transfer import LABStatistics, lab_statistics, lab_transfer, recorded_statistics


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
        self.images, self.suffix, self.stats = images, suffix, stats
        self._files: list[str] = []
        self._known: dict[str, LABStatistics] = {}

    def check_files(self) -> None:
        """List the style images.

        Raises:
            UserInputError: If the folder is missing or holds none.
        """
        self._files = sorted(
            os.path.join(parent, name)
            for parent, _, names in os.walk(self.images, followlinks=True)
            for name in names
            if name.endswith(self.suffix) and not name.startswith('.')
        )
        if not self._files:
            raise UserInputError(
                f'LABStyle found no image that ends in {self.suffix!r} in the folder {self.images!r}: expected the '
                'images whose light the source takes on; correct images or suffix.'
            )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change the image.

        Args:
            results: Results of one image.

        Raises:
            UserInputError: If a style image cannot be read, or the statistics were not recorded.
        """
        if not self._files:
            self.check_files()
        path = self._files[np.random.randint(len(self._files))]
        own = recorded_statistics(results, 'LABStyle') if self.stats == 'full' else None
        image = results['img']
        results['img'] = lab_transfer(
            image, image, source_stats=own, reference_stats=self._statistics(path)
        )
        return results

    def _statistics(self, path: str) -> LABStatistics:
        if path not in self._known:
            image = cv2.imread(path, cv2.IMREAD_COLOR)
            if image is None:
                raise UserInputError(
                    f'The style image {path!r} cannot be read: expected a whole PNG or JPEG image; copy or download '
                    'it again, or take it out of the folder.'
                )
            self._known[path] = lab_statistics(image)
        return self._known[path]

    def __repr__(self) -> str:
        """Name the transform and its arguments."""
        return f'{type(self).__name__}(images={self.images!r}, suffix={self.suffix!r}, stats={self.stats!r})'
