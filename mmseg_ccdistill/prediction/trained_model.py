"""A trained model from its file alone: network, classes, colours and test pipeline.

A checkpoint of a training and an exported ``.pth`` hold the config as text (``meta['cfg']``), a ``.safetensors`` file
has it beside itself as JSON. Both are read as data (:mod:`config_text`). A config may name any callable of Python as a
``type``; here only components that are registered are built, so that a file from a stranger runs no code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmengine.registry
import mmseg.registry
import torch
from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.models.segmentors import BaseSegmentor

from ..datasets.label_palette import Colour, voc_colours
from ..engine.inference import load_segmentor
from ..engine.label_needs import without_annotations
from ..errors import UserInputError
from ..export.branch_export import class_meta, quiet_building
from ..export.plain_config import for_inference, package_components, test_pipeline_of
from ..models.segmentors import AdaptationSegmentor
from ..models.segmentors.network_names import check_network_name
from ..runtime.checkpoint_file import CheckpointFileError, read_checkpoint
from ..runtime.config_places import dotted_places
from ..runtime.config_text import ConfigTextError, plain_values
from ..runtime.run_log import warn

#: Scopes of the packages whose components are known.
_SCOPES = ('', 'mmengine', 'mmcv', 'mmseg')
#: For a JSON file that an older version wrote: the network sees the image at its own size.
_OWN_SIZE = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
_EXPORT = 'python tools/model_converters/night2mmseg.py'


@dataclass(frozen=True)
class TrainedModel:
    """What a file of weights holds.

    Attributes:
        path: The file.
        model: The model in evaluation mode.
        classes: Name of each class.
        palette: RGB colour of each class.
        pipeline: Configs of the transforms from an image file to the network, without labels.
        branches: Networks that may predict, e.g. ``('day', 'night')``; empty for a plain segmentor.
    """

    path: Path
    model: BaseSegmentor
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    pipeline: list[Any]
    branches: tuple[str, ...]

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return next(self.model.parameters()).device

    @property
    def branch(self) -> str | None:
        """The network that predicts; None for a plain segmentor."""
        return self.model.predict_with if self.branches else None

    def predict_with(self, branch: str | None) -> None:
        """Choose the network that predicts.

        Args:
            branch: One of ``branches``. None changes nothing.

        Raises:
            UserInputError: If there is no such network.
        """
        if branch is None:
            return
        if not self.branches:
            raise UserInputError(
                f'{str(self.path)!r} holds one network, so there is no branch {branch!r}: expected a training '
                'checkpoint of an adaptation; leave --branch out'
            )
        check_network_name(branch, self.branches, f'the branch of {str(self.path)!r}')
        self.model.predict_with = branch


def load_trained(
    path: str | os.PathLike[str],
    config: Config | None = None,
    branch: str | None = None,
    device: str | None = None,
) -> TrainedModel:
    """Load a model for prediction; nothing in its file is executed.

    Args:
        path: A training checkpoint, an exported ``.pth``, or a ``.safetensors`` file with its JSON (either may be
            named).
        config: Config of the model, for weights whose file does not hold it.
        branch: Network of an adaptation that predicts. None takes the one that the config names.
        device: As torch names it. None takes the accelerator if there is one.

    Returns:
        The model.

    Raises:
        UserInputError: If the file is missing or damaged, holds no config or no classes, or names components that
            are not known.
    """
    path = Path(path).expanduser()
    if path.suffix == '.json':
        path = path.with_suffix('.safetensors')
    saved = read_checkpoint(path)
    meta = dict(saved['meta'])
    if config is None:
        config, meta = _own_config(path, meta)
    with quiet_building():
        target = None if device is None else _device(device)
        model = load_segmentor(config, str(path), device=target)
    classes = _classes(path, meta, config, model.num_classes)
    branches = _branches(model, saved['state_dict'])
    palette = tuple((int(r), int(g), int(b)) for r, g, b in classes['palette'])
    if len(palette) != len(classes['classes']):  # VOC's begins with black
        palette = voc_colours()[1 : len(classes['classes']) + 1]
    trained = TrainedModel(
        path,
        model,
        tuple(classes['classes']),
        palette,
        without_annotations(test_pipeline_of(config.to_dict())),
        branches,
    )
    trained.predict_with(branch)
    return trained


def _own_config(path: Path, meta: dict[str, Any]) -> tuple[Config, dict[str, Any]]:
    """The config in a checkpoint, or beside a safetensors file, reduced to what prediction needs; and ``meta``."""
    if path.suffix == '.safetensors':
        facts = _json_beside(path)
        settings = dict(
            model=facts['model'], test_pipeline=_with_tuples(facts.get('test_pipeline'))
        )
        if settings['test_pipeline'] is None:
            warn(
                f'{path.with_suffix(".json")} names no test_pipeline: the network sees images at their own size'
            )
            settings['test_pipeline'] = _OWN_SIZE
        meta = {**meta, 'dataset_meta': {key: facts.get(key) for key in ('classes', 'palette')}}
    else:
        settings = _settings_in(path, meta)
    model = for_inference(settings['model'], package_components())
    dataset = (settings.get('test_dataloader') or {}).get('dataset') or {}
    pipeline = test_pipeline_of(settings)
    for place, node in (('model', model), ('test_pipeline', pipeline)):
        _check_components(node, place, path)
    kind = dataset.get('type')
    kind = kind if kind in mmseg.registry.DATASETS.module_dict else None
    dataset = dict(pipeline=pipeline, type=kind, metainfo=dataset.get('metainfo'))
    config = dict(model=model, default_scope='mmseg', test_dataloader=dict(dataset=dataset))
    return Config(config), meta


def _settings_in(path: Path, meta: Mapping[str, Any]) -> dict[str, Any]:
    text = meta.get('cfg')
    if not isinstance(text, str):
        raise UserInputError(
            f'{str(path)!r} does not hold its config: expected a checkpoint that a training or an export of this '
            'package wrote; name the config that it was trained with, --config CONFIG'
        )
    try:
        settings = plain_values(text)
    except ConfigTextError as error:
        raise UserInputError(
            f'the config in {str(path)!r} is not read ({error}): expected plain values, because what it calls would '
            'run as you; if you trust it, write it to a file and name that, --config CONFIG'
        ) from error
    if not isinstance(settings.get('model'), Mapping):
        raise UserInputError(
            f'the config in {str(path)!r} has no model: name the config that it was trained with, --config CONFIG'
        )
    return settings


def _json_beside(path: Path) -> dict[str, Any]:
    beside = path.with_suffix('.json')
    try:
        facts = json.loads(beside.read_text(encoding='utf-8'))
    except FileNotFoundError as error:
        raise UserInputError(
            f'{str(beside)!r} does not exist: expected it beside {path.name}, with classes, colours and model; copy '
            'the two together'
        ) from error
    except (OSError, ValueError) as error:
        raise UserInputError(
            f'{str(beside)!r} cannot be read ({error}): expected JSON as `{_EXPORT} --safetensors` writes it; copy '
            'or export it again'
        ) from error
    if not isinstance(facts, Mapping) or not isinstance(facts.get('model'), Mapping):
        raise UserInputError(
            f'{str(beside)!r} has no model: expected JSON as `{_EXPORT} --safetensors` writes it; export it again'
        )
    return dict(facts)


def _with_tuples(node: Any) -> Any:
    """Part of a config from JSON, with its lists of numbers as tuples, which transforms insist on."""
    if isinstance(node, Mapping):
        return {key: _with_tuples(child) for key, child in node.items()}
    if not isinstance(node, list):
        return node
    if node and all(isinstance(child, int | float) for child in node):
        return tuple(node)
    return [_with_tuples(child) for child in node]


def _check_components(node: Any, prefix: str, path: Path) -> None:
    """Refuse a ``type`` that is not registered: mmengine would import any dotted name and call it."""
    registries = [
        item
        for module in (mmengine.registry, mmseg.registry)
        for item in vars(module).values()
        if isinstance(item, Registry)
    ]
    known = {name for registry in registries for name in registry.module_dict}
    for place, value in dotted_places(node, prefix):
        if place.rpartition('.')[2] != 'type':
            continue
        scope, _, name = str(value).rpartition('.')
        if not isinstance(value, str) or scope not in _SCOPES or name not in known:
            raise UserInputError(
                f'{place} in {str(path)!r} is {value!r}, no component of MMSegmentation or of this package: if you '
                'know its source, name the config that imports it, --config CONFIG'
            )


def _classes(
    path: Path, meta: Mapping[str, Any], config: Config, num_classes: int
) -> dict[str, Any]:
    try:
        return class_meta(meta, config, num_classes)
    except CheckpointFileError:
        raise
    except UserInputError as error:
        names = (meta.get('dataset_meta') or {}).get('classes') or ()
        found = f'names {len(names)} classes' if names else 'names no classes'
        raise UserInputError(
            f'{str(path)!r} {found}: expected those of its {num_classes} outputs, in meta.dataset_meta; name the '
            'config that it was trained with, --config CONFIG'
        ) from error


def _branches(model: BaseSegmentor, state: Mapping[str, Any]) -> tuple[str, ...]:
    if not isinstance(model, AdaptationSegmentor):
        return ()
    return tuple(
        name
        for name in model.networks
        if any(key.startswith(f'{name}.') for key in state) or name == model.predict_with
    )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserInputError(
            f'--device {name} cannot be used ({reason}): expected cpu, or a device that this machine has, '
            'for example cuda:0'
        ) from error
    return device
