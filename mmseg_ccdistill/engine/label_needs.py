"""What labels are needed for: scores need them, predictions do not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmcv.transforms import LoadAnnotations
from mmengine.config import Config
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS, TRANSFORMS

from ..datasets.file_check import build_dataset
from ..errors import UserInputError
from ..evaluation.prediction_files import PredictionFiles
from ..runtime.run_log import warn
from .start_up_checks import dataset_configs

_LOADING = 'LoadAnnotations'
#: Packages whose transforms are known, and their other loaders of labels.
_PACKAGES = frozenset({'mmcv', 'mmseg', 'mmseg_ccdistill'})
_OTHER_LOADERS = ('LoadBiomedical', 'LoadDepth')
#: Segmentors that are trained on labels alone.
_SUPERVISED = ('EncoderDecoder', 'CascadeEncoderDecoder', 'PartwiseEncoderDecoder')
_WITHOUT_LABELS = 'has no labels (no data_prefix.seg_map_path)'


def type_name(cfg: Mapping[str, Any]) -> str:
    """Name of what a config builds, without a scope."""
    kind = cfg.get('type')
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def evaluators_of(config: Config, stage: str) -> list[Any]:
    """The metrics of a stage as a list."""
    evaluators = config.get(f'{stage}_evaluator') or []
    return list(evaluators) if isinstance(evaluators, list | tuple) else [evaluators]


def metric_class(evaluator: Mapping[str, Any]) -> type | None:
    """Class of a metric, or None if it is unknown."""
    kind = evaluator.get('type')
    return kind if isinstance(kind, type) else METRICS.get(str(kind))


def _transform_class(step: Mapping[str, Any]) -> type | None:
    kind = step.get('type')
    return kind if isinstance(kind, type) else TRANSFORMS.get(str(kind))


def _loads(step: Any) -> bool:
    """Tell whether a transform loads labels."""
    kind = _transform_class(step) if isinstance(step, Mapping) else None
    return kind is not None and issubclass(kind, LoadAnnotations)


def _may_load(step: Any) -> bool:
    """Tell whether a transform loads labels or may do so: those of others are not known."""
    kind = _transform_class(step) if isinstance(step, Mapping) else None
    if kind is None or kind.__module__.partition('.')[0] not in _PACKAGES:
        return True
    return _loads(step) or kind.__name__.startswith(_OTHER_LOADERS)


def _flat(steps: Sequence[Any]) -> Iterator[Any]:
    """Yield the transforms of a pipeline, also those inside ``TestTimeAug``."""
    for step in steps:
        if isinstance(step, list | tuple):
            yield from _flat(step)
        else:
            yield step
            if isinstance(step, Mapping) and isinstance(step.get('transforms'), list | tuple):
                yield from _flat(step['transforms'])


def without_annotations(steps: Sequence[Any]) -> list[Any]:
    """A pipeline without what loads labels, also inside ``TestTimeAug``; lists that become empty are left out."""
    left: list[Any] = []
    for step in steps:
        if isinstance(step, list | tuple):
            inner = without_annotations(step)
            if inner:
                left.append(inner)
        elif not _loads(step):
            if isinstance(step, Mapping) and isinstance(step.get('transforms'), list | tuple):
                step = {**step, 'transforms': without_annotations(step['transforms'])}
            left.append(step)
    return left


def _is_labelled(node: Mapping[str, Any]) -> bool:
    dataset = build_dataset({**node, 'pipeline': []})
    return 'seg_map_path' in dataset.get_data_info(0)


def _scores(evaluator: Mapping[str, Any]) -> bool:
    kind = metric_class(evaluator)
    return kind is not None and issubclass(kind, IoUMetric) and not evaluator.get('format_only')


def _trains_on_labels(config: Config, key: str) -> bool:
    """Tell whether a loss compares with the labels of a data set: others' segmentors are not known."""
    is_plain = type_name(config.get('model') or {}) in _SUPERVISED
    return is_plain or 'source' in key.split('.')


def check_labels(config: Config, loaders: Sequence[str]) -> None:
    """Check that there are labels wherever they are loaded or scored, before anything is built.

    Args:
        config: Config.
        loaders: Keys of the data loaders, ``'train_dataloader'`` and ``'val_dataloader'``.

    Raises:
        UserInputError: At the first data set without the labels that are asked for.
    """
    for loader in loaders:
        scorers = [e for e in evaluators_of(config, loader.partition('_')[0]) if _scores(e)]
        for key, node in dataset_configs(
            (config.get(loader) or {}).get('dataset'), f'{loader}.dataset'
        ):
            steps = node.get('pipeline') or ()
            if any(map(_loads, _flat(steps))) and not _is_labelled(node):
                raise UserInputError(
                    f'{key} {_WITHOUT_LABELS}: expected labels, because its pipeline holds {_LOADING}; '
                    f'set {key}.data_prefix.seg_map_path, or take {_LOADING} out'
                )
            if any(map(_may_load, _flat(steps))):
                continue
            if loader == 'train_dataloader' and _trains_on_labels(config, key):
                raise UserInputError(
                    f'{key}.pipeline loads no labels: expected {_LOADING}, because the loss on this data set '
                    f'needs them; add dict(type={_LOADING!r}) after LoadImageFromFile'
                )
            if scorers:
                raise UserInputError(
                    f'{key}.pipeline loads no labels: expected {_LOADING}, because '
                    f'{type_name(scorers[0])} scores; add dict(type={_LOADING!r}) after Resize'
                )


def adapt_to_unlabelled(config: Config, shows_predictions: bool) -> None:
    """Let frames without labels be predicted: nothing is loaded or scored that is not there.

    Args:
        config: Config, changed in place: where the test set has no labels or loads none, the scores
            and ``LoadAnnotations`` are taken out.
        shows_predictions: Whether predictions are painted. They may also be written, by
            ``PredictionFiles`` or a metric with ``format_only``.

    Raises:
        UserInputError: If there is nothing but the scores to run for.
    """
    evaluators = evaluators_of(config, 'test')
    scorers = [evaluator for evaluator in evaluators if _scores(evaluator)]
    others = [evaluator for evaluator in evaluators if not _scores(evaluator)]
    dataset = (config.get('test_dataloader') or {}).get('dataset')
    nodes = list(dataset_configs(dataset, 'test_dataloader.dataset'))
    unlabelled = next((key for key, node in nodes if not _is_labelled(node)), None)
    unloaded = next(
        (key for key, node in nodes if not any(map(_may_load, _flat(node.get('pipeline') or ())))),
        None,
    )
    if unlabelled is None and (unloaded is None or not scorers):
        return
    writes = any(
        metric_class(evaluator) is PredictionFiles or evaluator.get('format_only')
        for evaluator in others
    )
    if scorers and not writes and not shows_predictions:
        name, alone = (
            type_name(scorers[0]),
            'or predict alone, with --out FOLDER or --show-dir FOLDER',
        )
        if unlabelled is not None:
            raise UserInputError(
                f'{unlabelled} {_WITHOUT_LABELS}: expected labels, because {name} scores; set '
                f'{unlabelled}.data_prefix.seg_map_path, {alone}'
            )
        raise UserInputError(
            f'{unloaded}.pipeline loads no labels: expected {_LOADING}, because {name} scores; add '
            f'dict(type={_LOADING!r}) after Resize, {alone}'
        )
    for _, node in nodes:
        node['pipeline'] = without_annotations(node.get('pipeline') or ())  # type: ignore[index]
    config.test_evaluator = others
    if scorers:
        warn(
            f'{unlabelled or unloaded} has no labels: its frames are predicted and nothing is scored'
        )
