"""Day-night pairs of Dark Zurich: T_d and T_n, unlabelled, with one crop and flip for both."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS

from ..errors import UserInputError
from ..runtime.random_state import get_random_state, same_random_state, set_random_state
from .file_check import DatasetCheckError, check_roots

_DOMAINS = ('target_day', 'target_night')
_GEOMETRY_KEYS = ('ori_shape', 'img_shape', 'scale', 'scale_factor', 'flip', 'flip_direction')
_LIST_MEND = 'write one pair a line, e.g. train/night/A/A_frame_000001,train/day/B/B_frame_000081'


def read_pair_list(path: str) -> list[tuple[str, str]]:
    """Read a list of day-night pairs.

    Args:
        path: A CSV file without header whose lines are ``night,day`` stems (relative to the image
            folder, without suffix), or a folder: all CSV files below it together, sorted by night
            stem. Dark Zurich ships its pairs in such a folder, ``corresp/train/night``.

    Returns:
        ``(night, day)`` in the order of the file. Several nights may share one day image.

    Raises:
        DatasetCheckError: If there is nothing to read, or a line is not a pair of stems; names file
            and line.
    """
    if os.path.isdir(path):
        pairs = sorted(
            pair for file in sorted(Path(path).rglob('*.csv')) for pair in _read_csv(str(file))
        )
    elif os.path.isfile(path):
        pairs = _read_csv(path)
    else:
        raise DatasetCheckError(
            f'The pair list {path!r} does not exist: expected a CSV file; {_LIST_MEND}.'
        )
    if not pairs:
        raise DatasetCheckError(
            f'The pair list {path!r} is empty: expected night,day stems; {_LIST_MEND}.'
        )
    return pairs


def _read_csv(path: str) -> list[tuple[str, str]]:
    pairs = []
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            reader = csv.reader(file)
            for row in reader:
                if row:
                    where = f'Line {reader.line_num} of the pair list {path!r}'
                    pairs.append(_parse_row(row, where))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetCheckError(
            f'The pair list {path!r} is no text ({error}): expected CSV; {_LIST_MEND}.'
        ) from error
    return pairs


def _parse_row(row: list[str], where: str) -> tuple[str, str]:
    stems = [field.strip() for field in row]
    if len(stems) != 2 or not all(stems):
        raise DatasetCheckError(
            f'{where} is {",".join(row)!r}: expected two stems, night,day; {_LIST_MEND}.'
        )
    for stem in stems:
        if stem.lower().endswith(('.png', '.jpg', '.jpeg')):
            raise DatasetCheckError(
                f'{where} names the file {stem!r}: expected a stem without suffix; {_LIST_MEND}.'
            )
    night, day = stems
    if '/day/' in f'/{night}' and '/night/' in f'/{day}':
        raise DatasetCheckError(
            f'{where} names the day image first: expected night,day; swap the columns.'
        )
    return night, day


@DATASETS.register_module()
class DarkZurichPairDataset(BaseSegDataset):
    """Unlabelled day-night pairs in the layout of Dark Zurich: T_d and T_n of the paper.

    Both images run through the same pipeline with the same random numbers, so that crop, scale and
    flip agree. A sample is ``{'target_day': results, 'target_night': results}``; an image that is
    not in ``domains`` is not opened. Inside ``CrossDomainDataset`` the pipeline must not pack.

    Args:
        ann_file: List of ``night,day`` stems, or a folder of such lists (:func:`read_pair_list`);
            absolute or relative to ``data_root``. Defaults to ``'lists/zurich_dn_pair_train.csv'``.
        img_suffix: What follows a stem. Defaults to ``'_rgb_anon.png'``.
        data_prefix: ``img_path``: folder that the stems are relative to. Defaults to ``'rgb_anon'``
            below the root.
        metainfo: ``classes`` and ``palette``. Not needed: there are no labels, and inside
            ``CrossDomainDataset`` those of the source count. Defaults to None, no classes.
        domains: Which of ``'target_day'`` and ``'target_night'`` a sample holds; the draw is the same.
            ``CrossDomainDataset(domains=...)`` sets it. Defaults to both.
        **kwargs: ``data_root``, ``pipeline``, ``indices``, ``test_mode``, ``lazy_init``, … of
            ``BaseSegDataset``.

    Raises:
        DatasetCheckError: At ``full_init``, if the root, the image folder or the list is missing,
            empty or malformed.
        ValueError: If the pipeline needs labels to choose its crop, or ``domains`` names others.
    """

    #: Hint of :func:`check_roots` to those who have the published archive only.
    list_hint = ", e.g. 'corresp/train/night', the pairs that Dark Zurich ships"

    def __init__(
        self,
        ann_file: str = 'lists/zurich_dn_pair_train.csv',
        img_suffix: str = '_rgb_anon.png',
        data_prefix: dict | None = None,
        metainfo: dict | None = None,
        domains: Sequence[str] = _DOMAINS,
        **kwargs: Any,
    ) -> None:
        if isinstance(domains, str) or not set(domains) <= set(_DOMAINS):
            raise UserInputError(
                f'domains of {type(self).__name__} is {domains!r}: expected some of {_DOMAINS}; correct it.'
            )
        self.domains = tuple(domains)
        data_prefix = dict(img_path='rgb_anon') if data_prefix is None else data_prefix
        super().__init__(
            ann_file=ann_file,
            img_suffix=img_suffix,
            data_prefix=data_prefix,
            metainfo={'classes': (), **(metainfo or {})},
            **kwargs,
        )
        for transform in self.pipeline.transforms:
            if getattr(transform, 'cat_max_ratio', 1.0) < 1.0:
                raise UserInputError(
                    f'{type(transform).__name__} of DarkZurichPairDataset has cat_max_ratio='
                    f'{transform.cat_max_ratio}: expected 1.0, as there are no labels; remove it.'
                )

    def full_init(self) -> None:
        """Check root, folder and list, then load the pairs."""
        if not self._fully_initialized:
            check_roots(self)
        super().full_init()

    def load_data_list(self) -> list[dict]:
        """Turn the pairs into infos: ``img_path`` is the night, ``day_img_path`` the day image."""
        folder = self.data_prefix['img_path']
        return [
            dict(
                img_path=os.path.join(folder, night + self.img_suffix),
                day_img_path=os.path.join(folder, day + self.img_suffix),
                label_map=self.label_map,
                reduce_zero_label=self.reduce_zero_label,
                seg_fields=[],
            )
            for night, day in read_pair_list(self.ann_file)
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
            RuntimeError: If the two runs differ in geometry or in the random numbers they took.
        """
        info = self.get_data_info(idx)
        day_path = info.pop('day_img_path', None)
        results: dict[str, Any] = {}
        before = after_day = get_random_state()
        if day_path is not None:
            results['target_day'] = self.pipeline({**info, 'img_path': day_path, 'seg_fields': []})
            after_day = get_random_state()
        if 'target_night' in self.domains:
            set_random_state(before)
            results['target_night'] = self.pipeline({**info, 'seg_fields': []})
        if any(result is None for result in results.values()):
            return None
        if len(results) < 2:
            return results
        day, night = results['target_day'], results['target_night']
        _assert_same_geometry(day, night, day_path, info['img_path'])
        if not same_random_state(after_day, get_random_state()):
            raise UserInputError(
                f'The pipeline took other random numbers for {day_path!r} than for '
                f'{info["img_path"]!r}: expected transforms that draw alike for every image; '
                'remove the one whose draws depend on the pixels.'
            )
        return results


def _assert_same_geometry(day: dict, night: dict, day_path: str, night_path: str) -> None:
    for key in _GEOMETRY_KEYS:
        values = [_meta(results).get(key) for results in (day, night)]
        if values[0] != values[1]:
            raise UserInputError(
                f'The pipeline gave {day_path!r} {key}={values[0]} but {night_path!r} '
                f'{key}={values[1]}: expected one geometry for both images of a pair; '
                'use images of equal size and transforms that draw alike.'
            )


def _meta(results: dict) -> dict:
    sample = results.get('data_samples')  # a packed result keeps its geometry there
    return results if sample is None else sample.metainfo
