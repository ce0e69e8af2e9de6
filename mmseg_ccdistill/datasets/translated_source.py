"""Labelled day images with ready night translations of them: S_d, and S_n from a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mmseg.datasets import BaseSegDataset, CityscapesDataset
from mmseg.registry import DATASETS

from ..errors import UserInputError
from .file_check import check_roots
from .one_draw import run_alike

_DOMAINS = ('source_day', 'source_night')
#: What ``data_prefix`` may name. S_n has no folder of its own by default.
_FOLDERS = MappingProxyType({'img_path': '', 'seg_map_path': '', 'night_path': ''})


@DATASETS.register_module()
class TranslatedDataset(BaseSegDataset):
    """A labelled data set that returns S_n beside S_d.

    S_n is read from ``data_prefix['night_path']``, where every image has the file name that it has below
    ``data_prefix['img_path']``. Both images have the same label and run through the pipeline with the same random
    numbers. A sample is ``{'source_day': results, 'source_night': results}``; an image that is not in ``domains`` is
    not opened. Inside ``CrossDomainDataset`` leave ``LABTransfer`` out, because it makes S_n too.

    Args:
        night_suffix: What the names of the translations end in, in place of ``img_suffix``. Defaults to None: the same.
        domains: Which of the two a sample holds. ``CrossDomainDataset(domains=...)`` sets it. Defaults to both.
        data_prefix: Folders below ``data_root``: ``img_path``, ``seg_map_path`` and ``night_path``.
        **kwargs: ``data_root``, ``img_suffix``, ``pipeline``, … of the data set.

    Raises:
        DatasetCheckError: At ``full_init``, if a folder is missing.
        UserInputError: If ``data_prefix`` names no ``night_path``, or ``domains`` names others.
    """

    def __init__(
        self,
        night_suffix: str | None = None,
        domains: Sequence[str] = _DOMAINS,
        data_prefix: Mapping[str, str] = _FOLDERS,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        if not (data_prefix or {}).get('night_path'):
            raise UserInputError(
                f'data_prefix of {name} names no night_path: expected the folder of the night translations, with file '
                "names as below img_path; set data_prefix['night_path']."
            )
        if isinstance(domains, str) or not set(domains) <= set(_DOMAINS):
            raise UserInputError(
                f'domains of {name} is {domains!r}: expected some of {_DOMAINS}; correct it.'
            )
        self.night_suffix = night_suffix
        self.domains = tuple(domains)
        super().__init__(data_prefix=dict(data_prefix), **kwargs)

    def full_init(self) -> None:
        """Check the folders, then list the images."""
        if not self._fully_initialized:
            check_roots(self)
        super().full_init()

    def load_data_list(self) -> list[dict]:
        """The infos of the data set; ``night_img_path`` is the translation."""
        infos = super().load_data_list()
        days, nights = self.data_prefix['img_path'], self.data_prefix['night_path']
        suffix = self.img_suffix if self.night_suffix is None else self.night_suffix
        for info in infos:
            name = os.path.relpath(info['img_path'], days)
            info['night_img_path'] = os.path.join(
                nights, name[: len(name) - len(self.img_suffix)] + suffix
            )
        return infos

    def get_data_info(self, idx: int) -> dict:
        """What is known of an image before its pipeline; without its translation if that is not wanted.

        Args:
            idx: Number of the image.
        """
        info = super().get_data_info(idx)
        if 'source_night' not in self.domains:
            info.pop('night_img_path', None)
        return info

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on both images with one draw of random numbers.

        Args:
            idx: Number of the image.

        Returns:
            Results by domain (those of ``domains``), or None if the pipeline gave up on an image.
        """
        info = self.get_data_info(idx)
        paths = {'source_day': info['img_path'], 'source_night': info.pop('night_img_path', None)}
        return run_alike(
            self.pipeline, {name: {**info, 'img_path': paths[name]} for name in self.domains}
        )


@DATASETS.register_module()
class TranslatedCityscapesDataset(TranslatedDataset, CityscapesDataset):
    """Cityscapes, or what is laid out alike, with night translations; see :class:`TranslatedDataset`."""
