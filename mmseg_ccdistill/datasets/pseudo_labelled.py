"""Images with the pseudo labels of a stage: a folder of images, a folder of labels, and what made them."""

from __future__ import annotations

import os
from typing import Any

from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.registry import DATASETS

from ..errors import UserInputError
from .file_check import check_roots
from .night_labels import LabelSettings, check_pseudo_labels
from .published_sets import ANON_SUFFIX

_CALLED = LabelSettings('data_prefix.seg_map_path', 'made_by')


@DATASETS.register_module()
class PseudoLabelledDataset(BaseSegDataset):
    """Images with the labels that ``tools/pseudo_label.py`` has made of them.

    The label of ``<folder>/<name>.<ending>`` is ``<labels>/<name>.png``: class ids, and 255 where there is none.

    Args:
        data_prefix: ``img_path``: folder of the images; ``seg_map_path``: folder of the labels. Both are needed.
        made_by: Checkpoint that must have made the labels. Defaults to None: any.
        img_suffix: End of the names of the images. Defaults to ``'_rgb_anon.png'``, that of Dark Zurich.
        metainfo: ``classes`` and ``palette``. Defaults to those of Cityscapes.
        **kwargs: ``pipeline``, ``indices``, … of ``BaseSegDataset``.

    Raises:
        UserInputError: If a folder is not named.
        DatasetCheckError: When the files are listed: if a folder or the manifest is missing, the labels are not
            finished, were made by another checkpoint or with other classes, or an image has none.
    """

    #: For the check of orientations: the labels are those of the images as they are loaded.
    has_predicted_labels = True
    #: What to do about a missing folder, for ``check_roots``.
    folder_fixes = {
        'seg_map_path': 'make the labels with tools/pseudo_label.py or, with all stages, tools/curriculum.py, or '
        'correct data_prefix'
    }

    def __init__(
        self,
        data_prefix: dict[str, str],
        made_by: str | None = None,
        img_suffix: str = ANON_SUFFIX,
        metainfo: dict | None = None,
        **kwargs: Any,
    ) -> None:
        for key in ('img_path', 'seg_map_path'):
            if not data_prefix.get(key):
                raise UserInputError(
                    f'data_prefix.{key} of {type(self).__name__} is not set: expected the folder of the '
                    f'{"images" if key == "img_path" else "labels"}; set it.'
                )
        self.made_by = made_by
        super().__init__(
            img_suffix=img_suffix,
            seg_map_suffix=f'{os.path.splitext(img_suffix)[0]}.png',
            data_prefix=data_prefix,
            metainfo=dict(CityscapesDataset.METAINFO) if metainfo is None else metainfo,
            **kwargs,
        )

    def full_init(self) -> None:
        """Check the folders, list the images and check that the labels are theirs."""
        if not self._fully_initialized:
            check_roots(self)
            super().full_init()

    def load_data_list(self) -> list[dict]:
        """The images, all with a label of the right checkpoint."""
        found = super().load_data_list()
        root, folder = self.data_prefix['img_path'], self.data_prefix['seg_map_path']
        names = [os.path.relpath(image['img_path'], root) for image in found]
        classes = list(self.metainfo['classes'])
        check_pseudo_labels(
            folder, names, classes, repr(root), self.made_by, _CALLED, exactly=False
        )
        return found
