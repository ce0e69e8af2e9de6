"""The parts of a config that a registry builds: where each stands, and what builds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import mmengine.registry
import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import Registry

#: The scope in which the tools build a config that names none.
DEFAULT_SCOPE = 'mmseg'
#: Where the runner, the tools and a data loader build a part, by the last name of its dotted key. ``Runner`` of
#: mmengine is the source, and of ``given`` below.
_REGISTRIES = {
    'model': 'MODELS',
    'tta_model': 'MODELS',
    'data_preprocessor': 'MODELS',
    'model_wrapper_cfg': 'MODEL_WRAPPERS',
    'tta_pipeline': 'TRANSFORMS',
    'train_cfg': 'LOOPS',
    'val_cfg': 'LOOPS',
    'test_cfg': 'LOOPS',
    'optim_wrapper': 'OPTIM_WRAPPERS',
    'param_scheduler': 'PARAM_SCHEDULERS',
    'default_hooks': 'HOOKS',
    'custom_hooks': 'HOOKS',
    'visualizer': 'VISUALIZERS',
    'log_processor': 'LOG_PROCESSORS',
}
#: Types that stand alone, without a dict.
_BY_NAME = {'runner_type': 'RUNNERS', 'constructor': 'OPTIM_WRAPPER_CONSTRUCTORS'}
_DEFAULT_TYPES = {
    'val_cfg': 'ValLoop',
    'test_cfg': 'TestLoop',
    'optim_wrapper': 'OptimWrapper',
    'log_processor': 'LogProcessor',
    'model_wrapper_cfg': 'MMDistributedDataParallel',
}
_OF_LOADERS = {
    'dataset': 'DATASETS',
    'sampler': 'DATA_SAMPLERS',
    'batch_sampler': 'DATA_SAMPLERS',
}
#: What stands inside a part of a registry, by its key there; ``...``: under any other key. What is not named here is
#: not judged: a hook or a metric may mean anything by a dict with a ``type``.
_INSIDE: dict[str, dict[Any, str]] = {
    'MODELS': {
        'init_cfg': 'WEIGHT_INITIALIZERS',
        'sampler': 'TASK_UTILS',
        'assigner': 'TASK_UTILS',
        'match_costs': 'TASK_UTILS',
        ...: 'MODELS',
    },
    'TASK_UTILS': {'match_costs': 'TASK_UTILS'},
    'WEIGHT_INITIALIZERS': {'override': 'WEIGHT_INITIALIZERS'},
    'DATASETS': {'pipeline': 'TRANSFORMS', ...: 'DATASETS'},
    'TRANSFORMS': {...: 'TRANSFORMS'},
    'OPTIM_WRAPPERS': {'optimizer': 'OPTIMIZERS'},
    'VISUALIZERS': {'vis_backends': 'VISBACKENDS'},
    'EVALUATOR': {'metrics': 'METRICS'},
}
#: Types that have names of their own for what stands inside them.
_OWN_WORDS = ('Albu',)
#: Arguments that the builder adds, by the registry.
_GIVEN = {
    'MODEL_WRAPPERS': {'module', 'device_ids'},
    'LOOPS': {'runner', 'dataloader', 'evaluator'},
    'OPTIM_WRAPPERS': {'optimizer'},
    'OPTIMIZERS': {'params'},
    'PARAM_SCHEDULERS': {'optimizer', 'epoch_length', 'convert_to_iter_based'},
    'DATA_SAMPLERS': {'dataset', 'seed', 'sampler', 'batch_size'},
    'VISUALIZERS': {'name'},
    'VISBACKENDS': {'save_dir'},
}
#: Read by the builder before the class is called.
_OF_BUILDERS = {
    'OPTIM_WRAPPERS': {'constructor', 'paramwise_cfg', 'optimizer'},
    'HOOKS': {'priority'},
    'LOOPS': {'by_epoch'},
    'PARAM_SCHEDULERS': {'convert_to_iter_based', 'epoch_length'},
}
#: Keys of parts inside others that every class builds from the dict alone; others, such as ``norm_cfg``, the class
#: around them completes.
_COMPLETE_PARTS = {
    *('dataset', 'datasets', 'source', 'target', 'pipeline', 'transforms', 'tta_pipeline'),
    *('model', 'backbone', 'neck', 'decode_head', 'auxiliary_head', 'loss_decode'),
    *('data_preprocessor', 'segmentor'),
}
#: Registries of such parts.
_COMPLETED = {'MODELS', 'TASK_UTILS', 'WEIGHT_INITIALIZERS', 'DATASETS', 'TRANSFORMS'}
_NO_TYPE = {'type', '_scope_', '_delete_'}


class Part(NamedTuple):
    """A dict of a config that a registry builds.

    Attributes:
        place: Its dotted key, as ``--cfg-options`` takes it.
        node: The dict.
        registry: Name of the registry in ``mmengine.registry``.
        is_complete: Whether the dict and the runner give all arguments, so that one is missing if it is not there.
    """

    place: str
    node: Mapping[str, Any]
    registry: str
    is_complete: bool

    @property
    def type_place(self) -> str:
        """Dotted key of the type."""
        return self.place if self.registry in _BY_NAME.values() else f'{self.place}.type'

    @property
    def settings(self) -> dict[str, Any]:
        """What the dict gives its class."""
        of_builder = _OF_BUILDERS.get(self.registry, set()) | _NO_TYPE
        if self.registry == 'OPTIMIZERS' and not self.place.endswith('.optimizer'):
            of_builder = of_builder | {
                'paramwise_cfg'
            }  # of one optimizer of several, read by their constructor
        return {name: value for name, value in self.node.items() if name not in of_builder}

    @property
    def given(self) -> set[str]:
        """Names that the builder adds."""
        return _GIVEN.get(self.registry, set())


def config_parts(config: Mapping[str, Any]) -> Iterator[Part]:
    """Yield every dict with a ``type``, or where one is needed, the outer ones before those inside them."""
    for name, value in config.items():
        if name.endswith('_dataloader') and isinstance(value, Mapping):
            for key, registry in _OF_LOADERS.items():
                yield from _parts(value.get(key), f'{name}.{key}', registry, needs_type=True)
        elif name.endswith('_evaluator'):
            is_whole = isinstance(value, Mapping) and 'metrics' in value
            yield from _parts(value, name, 'EVALUATOR' if is_whole else 'METRICS')
        elif name == 'runner_type':
            yield Part(name, {'type': value}, 'RUNNERS', is_complete=False)
        elif name in _REGISTRIES:
            yield from _parts(value, name, _REGISTRIES[name], needs_type=name == 'model')


def _parts(node: Any, place: str, registry: str, needs_type: bool = False) -> Iterator[Part]:
    """Yield a part and those inside it; what is neither a dict nor a list of them is none."""
    if isinstance(node, list | tuple):
        needs = needs_type or place.rpartition('.')[2] in ('pipeline', 'custom_hooks')
        for index, child in enumerate(node):
            yield from _parts(child, f'{place}.{index}', registry, needs)
        return
    if not isinstance(node, Mapping):
        return
    known = _default_type(place, node)
    if 'type' in node or known is not None or needs_type:
        whole = node if 'type' in node or known is None else {'type': known, **node}
        yield Part(place, whole, registry, _is_complete(place, registry))
        inside = {} if node.get('type') in _OWN_WORDS else _INSIDE.get(registry, {})
    else:  # parts by name: hooks, schedules of several optimizers
        inside = {**_INSIDE.get(registry, {}), ...: registry}
    if registry == 'OPTIM_WRAPPERS' and isinstance(node.get('constructor'), str):
        key = 'constructor'
        yield Part(f'{place}.{key}', {'type': node[key]}, _BY_NAME[key], is_complete=False)
    for key, child in node.items():
        within = inside.get(key, inside.get(...))
        if within is not None:
            needs = (within, key) == ('DATASETS', 'dataset') or place == 'default_hooks'
            yield from _parts(child, f'{place}.{key}', within, needs)


def _default_type(place: str, node: Mapping[str, Any]) -> str | None:
    """What the runner takes for a dict without a type, as far as it takes anything."""
    if place == 'train_cfg' and isinstance(node.get('by_epoch'), bool):
        return 'EpochBasedTrainLoop' if node['by_epoch'] else 'IterBasedTrainLoop'
    if (
        place == 'optim_wrapper' and 'optimizer' not in node
    ):  # one wrapper for each of several names
        return None
    return _DEFAULT_TYPES.get(place)


def _is_complete(place: str, registry: str) -> bool:
    names = [name for name in place.split('.') if not name.isdigit()]
    return registry not in _COMPLETED or names[-1] in _COMPLETE_PARTS


def registry_of(part: Part, scope: str) -> Registry:
    """The registry in which the runner looks for the type of a part."""
    registry: Registry = getattr(mmengine.registry, part.registry)
    with registry.switch_scope_and_registry(part.node.get('_scope_') or scope) as found:
        return found


def class_of(part: Part, scope: str) -> Callable[..., Any] | None:
    """The class or function that a part is built with; None if no registry holds the name."""
    kind = part.node['type']
    if not isinstance(kind, str):
        return kind if callable(kind) else None
    try:
        return registry_of(part, scope).get(kind)
    except RuntimeError:  # of mmengine, where the name stands nowhere
        return None


def scope_of(config: Config | Mapping[str, Any]) -> str:
    """The scope in which a config's parts are looked for."""
    return config.get('default_scope') or DEFAULT_SCOPE


class Arguments(NamedTuple):
    """What a class takes.

    Attributes:
        names: Names of its arguments, and of those that it passes on to its bases.
        required: Those of its own without a default.
        takes_more: Whether it takes other names, too, and what becomes of them is not known here.
        has_rest: Whether it takes ``**kwargs``, for its bases.
    """

    names: set[str]
    required: list[str]
    takes_more: bool
    has_rest: bool


#: Bases whose own arguments are no reason to take ``**kwargs``: a class over them hands these on to something else.
_PLAIN_BASES = (object, torch.nn.Module, BaseModule)


def arguments_of(built: Callable[..., Any]) -> Arguments:
    """Read the arguments of a class or function, and of its bases as far as it passes others on to them."""
    functions: list[tuple[Any, Any]] = [(None, built)]
    if isinstance(built, type):
        chain = [(cls, vars(cls).get('__init__')) for cls in built.__mro__]
        functions = [(cls, init) for cls, init in chain if inspect.isfunction(init)]
    names: set[str] = set()
    required: list[str] = []
    takes_more, number = not functions, 0
    for number, (cls, function) in enumerate(functions):
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):  # written in C
            return Arguments(names, [], True, True)
        parameters = parameters[cls is not None :]
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        names.update(p.name for p in named)
        if number == 0:
            required = [p.name for p in named if p.default is p.empty]
        takes_more = any(p.kind is p.VAR_KEYWORD for p in parameters)
        if not takes_more:
            takes_more = number > 0 and cls in _PLAIN_BASES
            break
    return Arguments(names, required, takes_more, number > 0 or takes_more)


def default_of(kind: type, name: str) -> Any:
    """Default of an argument in the nearest class that names it; None if there is none.

    Args:
        kind: A class.
        name: Name of the argument.
    """
    for cls in kind.__mro__:
        init = vars(cls).get('__init__')
        if inspect.isfunction(init) and name in inspect.signature(init).parameters:
            default = inspect.signature(init).parameters[name].default
            return None if default is inspect.Parameter.empty else default
    return None
