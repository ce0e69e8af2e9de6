"""Config of one network of an adaptation as a plain MMSegmentation ``EncoderDecoder``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import mmseg.registry
from mmengine.config import Config
from mmengine.registry import Registry
from mmseg.registry import MODELS

from ..errors import UserInputError
from ..runtime.config_parts import default_of
from ..runtime.config_places import dotted_places

_PACKAGE = __name__.partition('.')[0]

#: What testing and inference read besides the model; the rest of a config is training.
_RUNTIME_KEYS = (
    'default_scope',
    'env_cfg',
    'vis_backends',
    'visualizer',
    'log_level',
    'log_processor',
    'test_dataloader',
    'test_evaluator',
    'test_cfg',
    'tta_pipeline',
    'tta_model',
)

#: Hooks with a part in testing; the stock test.py switches the last one on to show predictions.
_TEST_HOOKS = ('timer', 'logger', 'visualization')

#: Settings of a model that matter only before its weights are loaded.
_INITIALISATION_KEYS = ('init_cfg', 'pretrained')


def package_components() -> set[str]:
    """Names that this package has registered in MMSegmentation's registries."""
    registries = [item for item in vars(mmseg.registry).values() if isinstance(item, Registry)]
    return {
        name
        for registry in registries
        for name, component in registry.module_dict.items()
        if component.__module__.partition('.')[0] == _PACKAGE
    }


def components_from_package(node: Any) -> list[str]:
    """Types in a config, or part of one, that only this package provides, sorted."""
    return sorted(_types(node) & package_components())


def _types(node: Any) -> set[str]:
    """Every ``type`` below ``node``, without its scope (``mmseg.``)."""
    return {
        value.rpartition('.')[2]
        for place, value in dotted_places(node, 'config')
        if place.endswith('.type') and isinstance(value, str)
    }


def plain_config(config: Config) -> Config:
    """A self-contained config of one branch, for testing and inference.

    ``model`` is the branch as an ``EncoderDecoder`` with its own ``SegDataPreProcessor``. Initial
    weights (``pretrained``, ``init_cfg``) are left out, and a training loss of this package becomes
    ``CrossEntropyLoss``: neither has a part in a prediction. Auxiliary heads stay, so that the
    branch's state dict fits strictly. Of the rest, what testing and inference read is kept.

    ``custom_imports`` names this package where the model or its test pipeline needs it. If only the
    test set or the metric does, the import may fail: inference works without the package, testing
    where it is installed.

    Args:
        config (Config): Config of an ``AdaptationSegmentor``.

    Returns:
        Config: Without ``_base_``; equal to what is read back from its text.

    Raises:
        UserInputError: If the config has no ``model.segmentor``, or no test pipeline.
    """
    if 'segmentor' not in (config.get('model') or {}):
        raise UserInputError(
            'the config has no model.segmentor, so it is not that of an adaptation; give the '
            'config of the adaptation, for example configs/ccdistill/refinenet_r101_cs2dz.py.'
        )
    source = config.to_dict()
    plain: dict[str, Any] = {
        key: source[key] for key in _RUNTIME_KEYS if source.get(key) is not None
    }
    plain.setdefault('default_scope', 'mmseg')
    plain['default_hooks'] = {
        name: hook
        for name, hook in (source.get('default_hooks') or {}).items()
        if name in _TEST_HOOKS and not components_from_package(hook)
    }
    plain['model'] = plain_model(source['model'])
    plain['test_pipeline'] = test_pipeline_of(source)
    plain['load_from'] = None
    plain['resume'] = False
    imports = _custom_imports(source, plain)
    if imports is not None:
        plain['custom_imports'] = imports
    return Config(plain)


def plain_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """Config of one network of an adaptation as an ``EncoderDecoder``; that of the adaptation is not changed."""
    plain = copy.deepcopy(dict(model['segmentor']))
    # The model's settings win over the branch's, as when it is built.
    plain.update(
        {key: model[key] for key in ('train_cfg', 'test_cfg') if model.get(key) is not None}
    )
    plain.pop('data_preprocessor', None)
    preprocessor = model.get('data_preprocessor')
    if preprocessor:
        ours = components_from_package(preprocessor)
        plain['data_preprocessor'] = (
            dict(preprocessor, type='SegDataPreProcessor') if ours else preprocessor
        )
    head = plain.get('decode_head')
    if isinstance(head, Mapping):
        kind = MODELS.get(head['type']) if isinstance(head['type'], str) else head['type']
        corners = default_of(kind, 'align_corners') if kind else None
        # Who makes labels of the logits asks for it.
        plain['decode_head'] = {**head, 'align_corners': head.get('align_corners', bool(corners))}
    return for_inference(plain, package_components())


def for_inference(node: Any, ours: set[str]) -> Any:
    """Copy of a model config without initial weights, with stock losses in the place of those in ``ours``."""
    if isinstance(node, Mapping):
        copied = {}
        for key, child in node.items():
            if key in _INITIALISATION_KEYS:
                continue
            if key == 'loss_decode':
                terms = child if isinstance(child, list | tuple) else [child]
                stock = [_stock_loss(term, ours) for term in terms]
                copied[key] = stock if isinstance(child, list | tuple) else stock[0]
            else:
                copied[key] = for_inference(child, ours)
        return copied
    if isinstance(node, list | tuple):
        return type(node)(for_inference(child, ours) for child in node)
    return copy.deepcopy(node)


def _stock_loss(loss: Mapping[str, Any], ours: set[str]) -> dict[str, Any]:
    if _types(loss) & ours:
        return dict(type='CrossEntropyLoss', loss_weight=loss.get('loss_weight', 1.0))
    return dict(loss)


def test_pipeline_of(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Pipeline of the test set, which ``inference_model`` reads at the top of a config."""
    node = (config.get('test_dataloader') or {}).get('dataset')
    while isinstance(node, Mapping) and 'pipeline' not in node:
        node = node.get('dataset', node.get('datasets'))  # wrapped, or several of one pipeline
        node = node[0] if isinstance(node, list | tuple) and node else node
    pipeline = node['pipeline'] if isinstance(node, Mapping) else config.get('test_pipeline')
    if not pipeline:
        raise UserInputError(
            'the config has no test pipeline, so the exported model could not read an image; set '
            'test_dataloader.dataset.pipeline, or test_pipeline.'
        )
    return copy.deepcopy(list(pipeline))


def _custom_imports(source: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any] | None:
    """The config's own imports, and this package where something in ``plain`` needs it."""
    given = source.get('custom_imports') or {}
    imports = given.get('imports', [])
    imports = [imports] if isinstance(imports, str) else list(imports)
    others = [name for name in imports if name.partition('.')[0] != _PACKAGE]
    inference = components_from_package([plain['model'], plain['test_pipeline']])
    anything = components_from_package(plain)
    names = [*others, *([_PACKAGE] if anything else [])]
    if not names:
        return None
    return dict(
        imports=names,
        allow_failed_imports=bool(anything and not inference)
        or given.get('allow_failed_imports', False),
    )
