"""Several images of one place, with one draw of random numbers: equal crops, scales and flips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UserInputError
from ..runtime.random_state import get_random_state, same_random_state, set_random_state

_GEOMETRY_KEYS = ('ori_shape', 'img_shape', 'scale', 'scale_factor', 'flip', 'flip_direction')


def run_alike(
    pipeline: Callable[[dict], dict | None], infos: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Run a pipeline on each image with the same random numbers.

    Args:
        pipeline: The pipeline.
        infos: What is known of each image, by domain.

    Returns:
        Results by domain, or None if the pipeline gave up on an image. The generators advance as for one image.

    Raises:
        UserInputError: If the runs differ in geometry or in the random numbers they took.
    """
    results: dict[str, Any] = {}
    before = get_random_state()
    first, after_first = '', before
    for domain, info in infos.items():
        set_random_state(before)
        results[domain] = pipeline({**info, 'seg_fields': []})
        if results[domain] is None:
            return None
        path = str(info['img_path'])
        if first:
            _check_geometry(results, path, first)
            if not same_random_state(after_first, get_random_state()):
                raise UserInputError(
                    f'The pipeline took other random numbers for {first!r} than for {path!r}: expected transforms '
                    'that draw alike for every image; remove the one whose draws depend on the pixels.'
                )
        else:
            first, after_first = path, get_random_state()
    return results


def _check_geometry(results: Mapping[str, Any], path: str, first: str) -> None:
    """Compare the newest results with the first ones."""
    domains = list(results)
    # A packed result keeps its geometry in its sample.
    metas = [
        getattr(results[domain].get('data_samples'), 'metainfo', results[domain])
        for domain in (domains[0], domains[-1])
    ]
    for key in _GEOMETRY_KEYS:
        values = [meta.get(key) for meta in metas]
        if values[0] != values[1]:
            raise UserInputError(
                f'The pipeline gave {first!r} {key}={values[0]} but {path!r} {key}={values[1]}: expected one '
                'geometry for both images of a pair; use images of equal size and transforms that draw alike.'
            )
