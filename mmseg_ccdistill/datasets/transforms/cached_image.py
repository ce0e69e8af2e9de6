"""Load images from a cache instead of decoding their files."""

from __future__ import annotations

import os
from typing import Any

from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from ..image_cache import open_cache


@TRANSFORMS.register_module()
class LoadCachedImage(BaseTransform):
    """Take the place of ``LoadImageFromFile``: the same pixels, from a cache.

    ``tools/dataset_converters/cache.py`` makes the cache. Labels and lists stay where they are.

    Required Keys:

    - img_path

    Added Keys:

    - img (uint8 BGR ``(H, W, 3)``), img_shape, ori_shape

    Args:
        cache: Folder of the cache.

    Raises:
        UserInputError: If it is no cache, or one of another version.
    """

    def __init__(self, cache: str | os.PathLike[str]) -> None:
        self.cache = open_cache(cache)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add the image.

        Args:
            results: Results of one image.

        Raises:
            UserInputError: If the image is not in the cache, or its file is another one now.
        """
        image = self.cache.read(results['img_path'])
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def __repr__(self) -> str:
        """Name the transform and its cache."""
        return f'{type(self).__name__}(cache={str(self.cache.folder)!r})'
