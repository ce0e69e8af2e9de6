"""Day-night pairs: T_d and T_n, with one crop and flip for both; unlabelled, or T_n with pseudo labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mmcv.transforms import LoadAnnotations, LoadImageFromFile
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..errors import UserInputError
from .file_check import check_roots
from .night_labels import LoadNightLabels, check_pseudo_labels, label_metainfo, label_path
from .one_draw import run_alike
from .pair_list import read_pair_list
from .transforms.cached_image import LoadCachedImage

_DOMAINS = ('target_day', 'target_night')


@DATASETS.register_module()
class DayNightPairDataset(BaseSegDataset):
    """Day-night pairs: T_d and T_n of the paper, unlabelled unless pseudo labels of T_n are named.

    Both images run through the same pipeline with the same random numbers, so that crop, scale and
    flip agree. A sample is ``{'target_day': results, 'target_night': results}``; an image that is
    not in ``domains`` is not opened. Inside ``CrossDomainDataset`` the pipeline must not pack.

    Args:
        ann_file: List of ``night,day`` stems, or a folder of such lists (:func:`read_pair_list`);
            absolute or relative to ``data_root``.
        img_suffix: What follows a stem. Defaults to ``'.jpg'``.
        data_prefix: ``img_path``: folder that the stems are relative to. Defaults to the root.
        metainfo: ``classes`` and ``palette``. Not needed: there are no labels, and inside
            ``CrossDomainDataset`` those of the source count. Defaults to None, no classes.
        domains: Which of ``'target_day'`` and ``'target_night'`` a sample holds; the draw is the same.
            ``CrossDomainDataset(domains=...)`` sets it. Defaults to both.
        night_label_dir: Folder of pseudo labels of the nights, as ``tools/pseudo_label.py`` makes it;
            absolute or relative to the working directory. They are loaded with the night image alone and
            get its crop and flip; classes are those of the folder. Defaults to None, no labels.
        night_labels_of: Checkpoint that must have made these labels. Defaults to None, any.
        **kwargs: ``data_root``, ``pipeline``, ``indices``, ``test_mode``, ``lazy_init``, … of
            ``BaseSegDataset``.

    Raises:
        DatasetCheckError: At ``full_init``, if the root, the image folder or the list is missing,
            empty or malformed.
            Or if the pseudo labels are not those of these images (:func:`check_pseudo_labels`).
        UserInputError: If ``ann_file`` is empty, ``data_prefix`` names other folders, ``domains``
            names others, the pipeline needs labels to choose its crop or loads labels itself,
            ``night_labels_of`` stands alone, or ``night_label_dir`` meets a pipeline that loads no image.
    """

    def __init__(
        self,
        ann_file: str = '',
        img_suffix: str = '.jpg',
        data_prefix: dict | None = None,
        metainfo: dict | None = None,
        domains: Sequence[str] = _DOMAINS,
        night_label_dir: str | None = None,
        night_labels_of: str | None = None,
        **kwargs: Any,
    ) -> None:
        name = type(self).__name__
        if not ann_file:
            raise UserInputError(
                f'ann_file of {name} is not set: expected the list of its pairs, a CSV file of night,day '
                'stems; set ann_file.'
            )
        data_prefix = dict(img_path='') if data_prefix is None else data_prefix
        others = [key for key, folder in data_prefix.items() if folder and key != 'img_path']
        if others:
            raise UserInputError(
                f"data_prefix of {name} names {others[0]!r}: expected 'img_path' alone, because pairs have no "
                'labels and one folder for both images; take it out.'
            )
        if isinstance(domains, str) or not set(domains) <= set(_DOMAINS):
            raise UserInputError(
                f'domains of {name} is {domains!r}: expected some of {_DOMAINS}; correct it.'
            )
        if night_labels_of is not None and night_label_dir is None:
            raise UserInputError(
                f'night_labels_of of {name} is set and night_label_dir is not: expected the folder of the labels that '
                'this checkpoint made; set night_label_dir, or take night_labels_of out.'
            )
        self.domains = tuple(domains)
        self.night_label_dir = night_label_dir
        self.night_labels_of = night_labels_of
        super().__init__(
            ann_file=ann_file,
            img_suffix=img_suffix,
            data_prefix=data_prefix,
            metainfo={'classes': (), **label_metainfo(night_label_dir), **(metainfo or {})},
            **kwargs,
        )
        for transform in self.pipeline.transforms:
            if getattr(transform, 'cat_max_ratio', 1.0) < 1.0:
                raise UserInputError(
                    f'{type(transform).__name__} of {name} has cat_max_ratio='
                    f'{transform.cat_max_ratio}: expected 1.0, as there are no labels; remove it.'
                )
        if night_label_dir is not None:
            self._load_labels()

    @property
    def has_predicted_labels(self) -> bool:
        """For the check of orientations: the labels, if there are any, are those of the images as they are loaded."""
        return self.night_label_dir is not None

    def _load_labels(self) -> None:
        """Let the pipeline load labels right after the image."""
        steps = self.pipeline.transforms
        if any(isinstance(step, LoadAnnotations) for step in steps):
            raise UserInputError(
                f'the pipeline of {type(self).__name__} holds LoadAnnotations: expected none beside night_label_dir, '
                'which loads the labels of the night and none of the day; take it out.'
            )
        loaders = [
            i
            for i, step in enumerate(steps)
            if isinstance(step, LoadImageFromFile | LoadCachedImage)
        ]
        if not steps:
            return  # nothing is loaded, e.g. where only the list is read
        if not loaders:
            raise UserInputError(
                f'the pipeline of {type(self).__name__} loads no image: expected LoadImageFromFile or LoadCachedImage, '
                'behind which the labels of night_label_dir are loaded; add one, or derive your own from it.'
            )
        steps.insert(loaders[0] + 1, LoadNightLabels())

    def full_init(self) -> None:
        """Check root, folder, list and pseudo labels, then load the pairs."""
        if not self._fully_initialized:
            check_roots(self)
        super().full_init()

    def load_data_list(self) -> list[dict]:
        """Turn the pairs into infos: ``img_path`` is the night, ``day_img_path`` the day image."""
        folder = self.data_prefix['img_path']
        pairs = read_pair_list(self.ann_file)
        labels: dict[str, dict[str, str]] = {}
        if self.night_label_dir is not None:
            names = dict.fromkeys(night + self.img_suffix for night, _ in pairs)
            check_pseudo_labels(
                self.night_label_dir,
                names,
                self.metainfo['classes'],
                f'the list {self.ann_file!r}',
                self.night_labels_of,
            )
            labels = {n: dict(seg_map_path=label_path(self.night_label_dir, n)) for n in names}
        return [
            dict(
                img_path=os.path.join(folder, night + self.img_suffix),
                day_img_path=os.path.join(folder, day + self.img_suffix),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
                **labels.get(night + self.img_suffix, {}),
            )
            for night, day in pairs
        ]

    def get_data_info(self, idx: int) -> dict:
        """What is known of a pair before its pipeline; without its day image if that is not wanted.

        Args:
            idx: Number of the pair.
        """
        info = super().get_data_info(idx)
        if 'target_day' not in self.domains:
            info.pop('day_img_path', None)
        return info

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline on both images with one draw of random numbers.

        Args:
            idx: Number of the pair.

        Returns:
            Results by domain (those of ``domains``), or None if the pipeline gave up on an image. The
            generators advance as for one image.

        Raises:
            UserInputError: If the two runs differ in geometry or in the random numbers they took.
        """
        night = self.get_data_info(idx)
        day_path = night.pop('day_img_path', None)
        day = {key: value for key, value in night.items() if key != 'seg_map_path'}
        infos = {'target_day': {**day, 'img_path': day_path}, 'target_night': night}
        return run_alike(self.pipeline, {d: i for d, i in infos.items() if d in self.domains})
