"""Images with the pseudo labels of a stage: a folder of images, a folder of labels, and what made them."""

from __future__ import annotations

import json
import os
from typing import Any

from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.registry import DATASETS

from ..errors import UserInputError
from ..runtime.file_digest import file_digest
from .file_check import DatasetCheckError, check_roots

#: What lies beside the labels and says what they are.
LABEL_MANIFEST = 'manifest.json'
_MAKE = 'make the labels with tools/pseudo_label.py or, with all stages, tools/curriculum.py'


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

    #: What to do about a missing folder, for ``check_roots``.
    folder_fixes = {'seg_map_path': f'{_MAKE}, or correct data_prefix'}

    def __init__(
        self,
        data_prefix: dict[str, str],
        made_by: str | None = None,
        img_suffix: str = '_rgb_anon.png',
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
        """Check the folders and what made the labels, then list the images."""
        if self._fully_initialized:
            return
        check_roots(self)
        manifest = _read_manifest(self.data_prefix['seg_map_path'])
        self._check_maker(manifest)
        super().full_init()
        self._check_images(manifest)

    def _check_maker(self, manifest: dict[str, Any]) -> None:
        """Check that the labels are finished, of the right checkpoint and of these classes."""
        folder, settings = self.data_prefix['seg_map_path'], manifest['settings']
        if not manifest['finished']:
            raise DatasetCheckError(
                f'The pseudo labels in {folder!r} are not finished: expected those of all images; give the command '
                'that makes them again, it goes on where it stopped.'
            )
        if self.made_by is not None:
            if not os.path.isfile(self.made_by):
                raise DatasetCheckError(
                    f'made_by of {type(self).__name__} names the checkpoint {self.made_by!r}, which does not exist: '
                    f'expected the one that made the labels in {folder!r}; correct it, or set made_by=None to take '
                    'labels of any.'
                )
            if file_digest(self.made_by) != settings.get('checkpoint'):
                raise DatasetCheckError(
                    f'The pseudo labels in {folder!r} were made by another checkpoint than {self.made_by!r}: expected '
                    'labels of the stage before; make them anew in another folder, or correct made_by.'
                )
        classes = list(self.metainfo['classes'])
        if settings.get('classes') is not None and list(settings['classes']) != classes:
            raise DatasetCheckError(
                f'The pseudo labels in {folder!r} are of the classes {list(settings["classes"])}: expected {classes}, '
                'those of the data set, in this order; make them anew, or set metainfo=dict(classes=...).'
            )

    def _check_images(self, manifest: dict[str, Any]) -> None:
        """Check that every image has been labelled."""
        root = self.data_prefix['img_path']
        for index in range(len(self)):
            name = os.path.relpath(self.get_data_info(index)['img_path'], root)
            if name not in manifest['images']:
                raise DatasetCheckError(
                    f'The pseudo labels in {self.data_prefix["seg_map_path"]!r} are of other images: there is none for '
                    f'{name!r} of {root!r}; expected one for every image; make them anew, or take the image out.'
                )


def _read_manifest(folder: str) -> dict[str, Any]:
    """What is said of the labels of a folder, finished or not."""
    path = os.path.join(folder, LABEL_MANIFEST)
    try:
        with open(path, encoding='utf-8') as file:
            manifest = json.load(file)
        if isinstance(manifest['settings'], dict) and {'finished', 'images'} <= set(manifest):
            return manifest
        reason = 'it has other content'
    except FileNotFoundError:
        reason = 'there is no such file'
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f'{type(error).__name__}: {error}'
    raise DatasetCheckError(
        f'{path!r} is no manifest of pseudo labels ({reason}): expected the file that says what made the labels beside '
        f'it; {_MAKE}.'
    )
