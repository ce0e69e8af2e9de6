"""Start-up check of a dataset's files: what would stop or spoil a run is named before it starts.

:func:`check_roots` looks at folders and lists only and is called by the datasets themselves;
:func:`check_dataset` looks at every file: existence, header, size, pair and label values.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from ..errors import UserInputError
from ..runtime.run_log import warn
from .crop_check import crop_faults
from .file_faults import (
    Sample,
    missing_fault,
    size_fault,
    turned_fault,
    values_fault,
)
from .file_scan import map_parallel, scan_files
from .image_facts import ImageFacts, read_stamp, unreadable_sentence
from .label_palette import disagreement_fault, ids_of
from .manifest import Manifest
from .transforms.cached_image import LoadCachedImage
from .transforms.resized_crop import join_crops


class DatasetCheckError(UserInputError):
    """Data that cannot be trained on.

    The message is one sentence: which file, what was expected, how to fix it.
    """


def build_dataset(cfg: Mapping) -> Any:
    """Build a dataset from its config, with plain words for missing folders and empty splits.

    Args:
        cfg: Config of a dataset class with mmengine's interface (``lazy_init``, ``full_init``).

    Raises:
        DatasetCheckError: If a folder or list is missing or no image is found.
    """
    dataset = build_lazily(cfg)
    initialise(dataset)
    return dataset


def build_lazily(cfg: Mapping | Dataset) -> Any:
    """Build a dataset from its config without a look at its files.

    Args:
        cfg: Config of a dataset class with mmengine's interface (``lazy_init``), or the dataset itself.

    Returns:
        The dataset, not initialised; as it is if it was built before.

    Raises:
        DatasetCheckError: If a folder in ``data_prefix`` is None or a number, or ``metainfo`` names classes that
            the dataset does not have, or does not give each of them a colour.
    """
    if not isinstance(cfg, Mapping):
        return cfg
    for key, folder in (cfg.get('data_prefix') or {}).items():
        if not isinstance(folder, str):
            raise DatasetCheckError(
                f'data_prefix.{key} is {folder!r}: expected the name of a folder; for a dataset without it leave '
                f'{key} out (on the command line: data_prefix._delete_=True and the other folders again).'
            )
    try:
        return DATASETS.build({**cfg, 'lazy_init': True})
    except ValueError as error:  # mmseg has no type of its own for these
        text = str(error)
        if 'in METAINFO' in text:
            fixed = getattr(DATASETS.get(cfg['type']), 'METAINFO', {}).get('classes') or ()
            named = (cfg.get('metainfo') or {}).get('classes') or ()
            foreign = [name for name in named if name not in fixed]
            raise DatasetCheckError(
                f'metainfo of {cfg["type"]} names the classes {foreign}, which its labels do not have: expected a '
                f'choice of {list(fixed)}; for classes of your own use type="BaseSegDataset".'
            ) from error
        if 'palette does not match classes' in text:
            raise DatasetCheckError(
                f'metainfo of {cfg["type"]} has a palette of another length than its classes: expected one '
                '[R, G, B] for each class; correct it or leave palette out.'
            ) from error
        raise


def initialise(dataset: Any) -> None:
    """Initialise a lazily built dataset and insist on at least one image.

    Transforms of its pipeline that read files of their own list them in ``check_files``; a random resize and the crop
    behind it are joined (``join_crops``).

    Raises:
        DatasetCheckError: If a folder or list is missing or no image is found.
    """
    for leaf in leaf_datasets(dataset):
        check_roots(leaf)
    try:
        dataset.full_init()
        empty = len(dataset) == 0
    except DatasetCheckError:
        raise
    except UnicodeDecodeError as error:
        raise DatasetCheckError(
            f'The list {dataset.ann_file!r} of {type(dataset).__name__} is no text ({error.reason}): '
            'expected one line for every sample; replace it or set ann_file.'
        ) from error
    except (ValueError, IndexError) as error:
        # mmengine cannot serialise an empty list of images and says so in numpy's words
        empty = hasattr(dataset, 'load_data_list') and not dataset.load_data_list()
        if not empty and isinstance(error, IndexError):
            raise DatasetCheckError(
                f'{type(dataset).__name__} has fewer images in {dataset.data_prefix.get("img_path")!r} than '
                'its indices name: expected all of them; restore the images or correct indices.'
            ) from error
        if not empty:
            raise
    if empty:
        raise DatasetCheckError(_empty_message(dataset)) from None
    for leaf in leaf_datasets(dataset):
        steps = getattr(getattr(leaf, 'pipeline', None), 'transforms', [])
        join_crops(steps)
        check_files_of(steps)


def check_files_of(transforms: Iterable[Any]) -> None:
    """Let transforms that read files of their own list them, in ``check_files``.

    Args:
        transforms: Of a pipeline.

    Raises:
        UserInputError: If the files of one are missing.
    """
    for step in transforms:
        if hasattr(step, 'check_files'):
            step.check_files()


def check_roots(dataset: Any) -> None:
    """Check that the data root, the folders and the list of a dataset exist.

    Args:
        dataset: A ``BaseSegDataset``-like dataset; it need not be initialised. Others, and datasets
            that read from remote storage (``backend_args``), are left alone.

    Raises:
        DatasetCheckError: If one is missing.
    """
    prefixes = getattr(dataset, 'data_prefix', None)
    if not isinstance(prefixes, Mapping) or getattr(dataset, 'backend_args', None):
        return
    name = type(dataset).__name__
    root = getattr(dataset, 'data_root', None)
    if root and not os.path.isdir(root):
        inside = os.path.relpath(prefixes.get('img_path') or root, root)
        raise DatasetCheckError(
            f'The data root {root!r} of {name} does not exist: '
            f'expected a folder that holds {inside!r}; put or link the data there or set data_root.'
        )
    for key, folder in prefixes.items():
        if folder and not os.path.isdir(folder):
            fixes = getattr(dataset, 'folder_fixes', {})
            raise DatasetCheckError(
                f'The folder {folder!r} of {name} does not exist: expected the files of data_prefix[{key!r}]; '
                f'{fixes.get(key, "unpack them there or correct data_prefix")}.'
            )
    ann_file = getattr(dataset, 'ann_file', None)
    if ann_file and not os.path.exists(ann_file):
        hint = getattr(dataset, 'list_hint', '')
        raise DatasetCheckError(
            f'The list {ann_file!r} of {name} does not exist: '
            f'expected the file names of the split; put the list there or set ann_file{hint}.'
        )


def _empty_message(dataset: Any) -> str:
    name, ann_file = type(dataset).__name__, getattr(dataset, 'ann_file', None)
    if ann_file and os.path.isfile(ann_file):
        return (
            f'The list {ann_file!r} of {name} is empty: '
            'expected one line for every sample; refill it or set ann_file.'
        )
    folder = getattr(dataset, 'data_prefix', {}).get('img_path', '')
    suffix = getattr(dataset, 'img_suffix', '')
    files = glob.iglob(os.path.join(glob.escape(folder), '**', '*.*'), recursive=True)
    example = next((os.path.relpath(file, folder) for file in files if os.path.isfile(file)), None)
    seen = f'found for example {example!r}' if example else 'found no file'
    return (
        f'{name} has no images: expected files in {folder!r} that end in {suffix!r}, but {seen}; '
        "correct img_suffix or data_prefix['img_path']."
    )


def leaf_datasets(dataset: Any) -> Iterator[Any]:
    """Yield the datasets inside wrappers: source and target, concatenated, repeated, sliced."""
    if hasattr(dataset, 'source') and hasattr(dataset, 'target'):
        parts: Iterable = (dataset.source, dataset.target)
    elif isinstance(getattr(dataset, 'datasets', None), (list, tuple)):
        parts = dataset.datasets
    else:
        inner = getattr(dataset, 'dataset', getattr(dataset, '_dataset', None))
        if inner is None:
            yield dataset
            return
        parts = (inner,)
    for part in parts:
        yield from leaf_datasets(part)


def check_dataset(dataset: Any, manifest_dir: str | None = None) -> None:
    """Check every file that a dataset will read.

    For each image: it exists, its header can be read, its day image exists and has the same size, and a cache
    that the pipeline loads from holds it.
    For each label: it exists, has one channel and the size of its image as it is loaded, holds nothing
    but the ids of the classes and ``ignore_index``, and its palette, if it has one, shows these.
    For each image of a target: the crop of its pipeline is never larger (:func:`crop_faults`).
    Headers and label values are remembered in a manifest,
    so a second start only stats the files.

    Args:
        dataset: A ``BaseSegDataset``-like dataset, ``DayNightPairDataset``,
            ``CrossDomainDataset`` or a wrapper of such. Datasets of other kinds or on remote
            storage are skipped with a warning.
        manifest_dir: Folder for the manifests. Defaults to the data root if writable, else the
            user's cache folder.

    Raises:
        DatasetCheckError: At the first kind of fault that is found.
    """
    target = getattr(dataset, 'target', None)
    targets = [] if target is None else [*leaf_datasets(target)]
    for leaf in leaf_datasets(dataset):
        _check_leaf(leaf, manifest_dir, any(leaf is one for one in targets))


def _check_leaf(dataset: Any, manifest_dir: str | None, is_target: bool) -> None:
    name = type(dataset).__name__
    samples: list[Sample] = []
    if hasattr(dataset, 'get_data_info') and not getattr(dataset, 'backend_args', None):
        initialise(dataset)
        samples = list(_list_samples(dataset))
    if not samples:
        message = f'{name} is not checked: it lists no local image files'
        warn(message)
        return
    paths = list(dict.fromkeys(path for sample in samples for path in sample if path is not None))
    found = map_parallel(read_stamp, paths, f'Looking for the files of {name}')
    stamps = dict(zip(paths, found, strict=True))
    _report(missing_fault(sample, stamps, dataset) for sample in samples)

    labels = {sample.label for sample in samples}
    sizes = {path: stamp.size for path, stamp in stamps.items() if stamp and path not in labels}
    _report(_cache_faults(sizes, dataset))
    requests = [(path, stamp, path in labels) for path, stamp in stamps.items() if stamp]
    root = getattr(dataset, 'data_root', None) or os.path.commonpath(
        [os.path.dirname(os.path.abspath(path)) for path in paths]
    )
    scanned = scan_files(requests, Manifest(root, manifest_dir), f'Reading the files of {name}')
    facts = {path: entry for path, entry in scanned.items() if isinstance(entry, ImageFacts)}
    broken = {path: entry for path, entry in scanned.items() if path not in facts}
    _report(unreadable_sentence(path, str(entry)) for path, entry in broken.items())

    _report(turned_fault(sample, facts, dataset) for sample in samples)
    _report(size_fault(sample, facts, dataset) for sample in samples)
    _report(crop_faults(samples if is_target else (), facts, dataset))
    _report(values_fault(sample.label, facts, dataset) for sample in samples if sample.label)
    _report([_disagreement(labels, facts, dataset)])


def _cache_faults(sizes: Mapping[str, int], dataset: Any) -> Iterator[str]:
    """Say which images, given with their bytes, a cache that the pipeline loads from does not hold."""
    for step in getattr(getattr(dataset, 'pipeline', None), 'transforms', ()):
        if isinstance(step, LoadCachedImage):
            for path, size in sizes.items():
                try:
                    step.cache.find(path, size)
                except UserInputError as error:
                    yield str(error)


def _disagreement(
    labels: Iterable[str | None], facts: Mapping[str, ImageFacts], dataset: Any
) -> str | None:
    """Say that two labels show one class in two colours, or None."""
    coloured = [
        (label, facts[label].values or (), facts[label].palette)
        for label in labels
        if label is not None and facts[label].palette
    ]
    return disagreement_fault(sorted(coloured), ids_of(dataset)) if coloured else None


def _list_samples(dataset: Any) -> Iterator[Sample]:
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if 'img_path' in info:
            others = [info.get(f'{key}_path') for key in ('seg_map', 'day_img', 'night_img')]
            yield Sample(info['img_path'], *others)


def _report(messages: Iterable[str | None]) -> None:
    """Raise for the first fault and say how many there are like it."""
    faults = [message for message in messages if message is not None]
    if faults:
        more = f' ({len(faults) - 1} more of this kind.)' if len(faults) > 1 else ''
        raise DatasetCheckError(f'{faults[0]}{more}')
