"""Whether the model knows the classes of the data: their number, and their names where it goes by names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS

from ..datasets.class_names import class_difference
from ..datasets.file_check import DatasetCheckError, build_lazily
from ..errors import UserInputError
from ..models.losses import CITYSCAPES_CLASSES, StaticLoss, WeightedCrossEntropyLoss
from ..models.self_training import SelfTraining
from ..runtime.config_parts import default_of
from ..runtime.config_places import dotted_places
from .start_up_checks import dataset_configs

_HEADS = ('decode_head', 'auxiliary_head')


class _Classes(NamedTuple):
    """Classes of the data.

    Attributes:
        names: In the order of their ids.
        key: Dotted key of the data set that has them.
    """

    names: list[str]
    key: str


def check_classes(config: Config, loaders: Sequence[str]) -> None:
    """Check that data sets, heads and losses agree on the classes, before anything is built.

    A model knows its classes by position. So all data sets must have the same names in the same
    order, every head as many classes, and a loss that goes by the names of Cityscapes (static
    classes, ``'balanced'`` weights) must have been told any others.

    Args:
        config: Config.
        loaders: Keys of the data loaders, for example ``('train_dataloader', 'val_dataloader')``.

    Raises:
        UserInputError: If they do not agree; the message starts with the key in the config.
    """
    init_default_scope(config.get('default_scope', 'mmseg'))
    classes = _classes_of_data(config, loaders)
    if classes is None:
        return
    model = config.get('model')
    for key, node in (('model', model), *dotted_places(model, 'model')):
        if not isinstance(node, Mapping):
            continue
        if key.rstrip('.0123456789').rpartition('.')[2] in _HEADS:
            _check_number(key, node, classes)
        kind = _class_of(node)
        if issubclass(kind, StaticLoss | WeightedCrossEntropyLoss | SelfTraining):
            _check_names(key, node, kind, classes)
        if node.get('test_reweight_std') is not None and classes.names != [*CITYSCAPES_CLASSES]:
            raise UserInputError(
                f'{key}.test_reweight_std: it weighs the 19 classes of Cityscapes in their order, but '
                f'{classes.key} has others; set test_reweight_std=None'
            )
        has_own_prior = node.get('class_prior') is not None
        if node.get('class_prior_weight') and not has_own_prior:
            if classes.names != [*CITYSCAPES_CLASSES]:
                raise UserInputError(
                    f'{key}.class_prior_weight: without class_prior the shares of the 19 classes of Cityscapes count, '
                    f'in their order, but {classes.key} has others; set {key}.class_prior to the share of each class '
                    'in the labels of the source'
                )


def _classes_of_data(config: Config, loaders: Sequence[str]) -> _Classes | None:
    """Classes of all labelled data sets; None if there is no data set."""
    first: _Classes | None = None
    for loader in loaders:
        dataset = (config.get(loader) or {}).get('dataset')
        for key, node in dataset_configs(dataset, f'{loader}.dataset'):
            try:
                built = build_lazily({**node, 'pipeline': []})
            except DatasetCheckError as error:
                raise UserInputError(f'{key}: {error}') from error
            if not hasattr(built, 'metainfo'):  # of another library: nothing is known of it
                continue
            names = list(built.metainfo.get('classes') or ())
            name = type(built).__name__
            if not names:
                if key.endswith('.target'):  # without labels: the classes are those of the source
                    continue
                raise UserInputError(
                    f'{key}: {name} names no classes: expected the names of its label ids; set '
                    'metainfo=dict(classes=[...])'
                )
            if len(names) == 1:
                raise UserInputError(
                    f'{key}: {name} has one class, {names[0]!r}: expected two or more, because a softmax over '
                    'one class is always 1 and its loss 0; make the rest a class, too, e.g. '
                    f"metainfo=dict(classes=['background', {names[0]!r}])"
                )
            if first is None:
                first = _Classes(names, key)
            difference = class_difference(first.names, names, (first.key, key))
            if difference is not None:
                raise UserInputError(
                    f'{key}: its classes are not those of {first.key} ({difference}): expected the same names in '
                    'the same order, because a model knows classes by their ids; set metainfo=dict(classes=...) '
                    'of both alike'
                )
    return first


def _check_number(key: str, node: Mapping[str, Any], classes: _Classes) -> None:
    """A head has as many classes as the data; heads with labels of their own are left alone."""
    kind = _class_of(node)
    is_auxiliary = '.auxiliary_head' in key
    if is_auxiliary and getattr(kind, 'loss_by_feat', None) is not BaseDecodeHead.loss_by_feat:
        return
    found = _setting(node, kind, 'num_classes')
    if found is not None and found != len(classes.names):
        raise UserInputError(
            f'{key}.num_classes is {found}, but {classes.key} has {len(classes.names)} classes '
            f'({", ".join(classes.names[:4])}{", …" if len(classes.names) > 4 else ""}): expected equal numbers; '
            f'set {key}.num_classes={len(classes.names)}, or choose classes with metainfo=dict(classes=[...]) of '
            'the data sets'
        )


def _check_names(key: str, node: Mapping[str, Any], kind: type, classes: _Classes) -> None:
    """A loss that goes by names has been told those of the data."""
    named = _setting(node, kind, 'classes')
    count = len(named) if named is not None else _setting(node, kind, 'num_classes')
    if named is None and count == len(CITYSCAPES_CLASSES):
        named = CITYSCAPES_CLASSES
    owner = 'of Cityscapes' if node.get('classes') is None else 'that the loss names'
    static = _setting(node, kind, 'static_classes') or ()
    reasons, fixes = [], [f'set {key}.classes to those of the data']
    if any(isinstance(name, str) for name in static):
        reasons.append(f'static_classes are names of classes {owner}')
        fixes.append('static_classes to the names among them that stay in place')
    if _setting(node, kind, 'class_weight') == 'balanced':
        reasons.append(f"class_weight='balanced' weighs the classes {owner}")
        fixes.append(
            'where Cityscapes lacks one of them, class_weight to a list of one weight per class or None'
        )
    if reasons and list(named or ()) != classes.names:
        difference = class_difference(named or (), classes.names, ('the loss', classes.key))
        raise UserInputError(
            f'{key}: {" and ".join(reasons)}, and {classes.key} has other classes ({difference}): expected the '
            f'same names in the same order; {", ".join(fixes)}'
        )
    if issubclass(kind, StaticLoss | SelfTraining) and count != len(classes.names):
        raise UserInputError(
            f'{key}: it is for {count} classes, but {classes.key} has {len(classes.names)}: expected equal numbers; '
            f'set {key}.classes to those of the data'
        )
    if reasons:
        try:
            MODELS.build(dict(node))
        except ValueError as error:
            raise UserInputError(f'{key}: {error}') from error


def _class_of(node: Mapping[str, Any]) -> type:
    """Class of a part; ``object`` if there is none of that name: building it says so."""
    kind = node.get('type')
    found = MODELS.get(kind) if isinstance(kind, str) else kind
    return found if isinstance(found, type) else object


def _setting(node: Mapping[str, Any], kind: type, name: str) -> Any:
    """What a part has as a setting: the config's value, else the default of its class."""
    return node[name] if name in node else default_of(kind, name)
