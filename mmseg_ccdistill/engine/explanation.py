"""What a config does, in words and numbers: model, data, schedule, and what differs from the paper's config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

from ccdistill.shipped_files import config_names, find_config

from ..runtime.config_differences import ABSENT, Difference, config_differences
from ..runtime.config_parts import scope_of
from ..runtime.learning_rates import learning_rates
from ..runtime.meta_device import meta_device

#: A shipped config of this file name has the network and data of the paper's Table 1.
PAPER_NAME = 'refinenet_r101_cs2dz'
#: What stands at the places of these keys is told by its type, not by its settings.
_OWN_LINES = ('pipeline', 'data_preprocessor', 'init_cfg', 'dataset', 'source', 'target')
_WIDTH = 19


class Counts(NamedTuple):
    """Parameters of a model.

    Attributes:
        total: All of them.
        trained: Those that an optimizer gets.
        deployed: Those of the network that predicts.
    """

    total: int
    trained: int
    deployed: int


def count_parameters(config: Config) -> Counts:
    """Count the parameters of a config's model, without memory for them."""
    init_default_scope(scope_of(config))
    with meta_device():
        model = MODELS.build(config.model)
    parameters = list(model.parameters())
    predictor = getattr(model, 'predictor', model)
    return Counts(
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        sum(p.numel() for p in predictor.parameters()),
    )


def paper_config(config: Config) -> str | None:
    """Name of the shipped config with the same method on the network and data of Table 1; None if there is none.

    Args:
        config: Config of an adaptation.
    """
    for name in config_names():
        folder, _, file = name.rpartition('/')
        path = find_config(name) if file == PAPER_NAME else None
        if path is not None and Config.fromfile(str(path)).model.type == config.model.type:
            return f'{folder}/{file}'
    return None


def explain(config: Config, against: tuple[str, Config] | None) -> str:
    """Describe a config.

    Args:
        config: The config, with the settings of the command line.
        against: Name and content of the config that it is compared with, if there is one.

    Returns:
        Text of several lines.
    """
    lines = [*_model(config), '', *_data(config), '', *_schedule(config), '']
    if against is None:
        lines.append('no config of a paper has this model; --against CONFIG compares with another')
    else:
        name, other = against
        found = config_differences(other.to_dict(), config.to_dict())
        lines.append(f'differs from {name}:' if found else f'does what {name} does')
        lines += [f'  {text}' for text in map(_difference, found)]
    return '\n'.join(lines)


def _model(config: Config) -> Iterator[str]:
    model = config.model
    counts = count_parameters(config)
    yield _line('model', _call(model, skip=('segmentor', 'backbone', 'decode_head')))
    network = model.get('segmentor', model)
    for key in ('backbone', 'neck', 'decode_head'):
        if network.get(key) is not None:
            yield _line(f'  {key}', _call(network[key]))
    for key, value in model.items():
        has_own = key in ('segmentor', 'backbone', 'neck', 'decode_head', 'auxiliary_head')
        if isinstance(value, Mapping) and 'type' in value and not has_own:
            yield _line(f'  {key}', _call(value))
    millions = ', '.join(
        f'{count / 1e6:.1f} M {what}'
        for count, what in zip(counts, ('parameters', 'trained', 'at test'), strict=True)
    )
    yield _line('  size', millions)
    yield _line('starts from', str(config.get('load_from') or 'the weights that the model names'))


def _data(config: Config) -> Iterator[str]:
    for split in ('train', 'val', 'test'):
        loader = config.get(f'{split}_dataloader')
        if not loader:
            continue
        size = f'batches of {loader.get("batch_size", 1)}, {loader.get("num_workers", 0)} workers'
        yield _line(split, f'{loader.dataset.type}: {size}')
        yield from _dataset(loader.dataset)
        metrics = config.get(f'{split}_evaluator') or []
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            yield _line('  metric', _call(metric))


def _dataset(dataset: Mapping[str, Any]) -> Iterator[str]:
    if 'dataset' in dataset:  # one inside another
        yield from _dataset(dataset['dataset'])
        return
    parts = {key: dataset[key] for key in ('source', 'target') if key in dataset}
    for key, part in (parts or {'images': dataset}).items():
        folders = part.get('data_prefix') or {}
        places = [str(part.get('data_root', '')), *map(str, folders.values())]
        yield _line(f'  {key}', f'{part.get("type")}: {" ".join(filter(None, places))}')
        if part.get('pipeline'):
            yield _line('', ' -> '.join(map(_call, part['pipeline'])))
    if parts and dataset.get('pipeline'):
        yield _line('  together', ' -> '.join(map(_call, dataset['pipeline'])))


def _schedule(config: Config) -> Iterator[str]:
    loop = config.get('train_cfg') or {}
    length = loop.get('max_iters')
    yield _line('schedule', f'{length} iterations' if length else _call(loop))
    wrapper = config.get('optim_wrapper') or {}
    rows = config.get('param_scheduler') or []
    optimizer = wrapper.get('optimizer') or {}
    named = {'optimizer': optimizer} if 'type' in optimizer else dict(optimizer)
    for name, one in named.items():
        yield _line(f'  {name}', _call(one))
        own = rows.get(name, []) if isinstance(rows, Mapping) else rows
        own = own if isinstance(own, list) else [own]
        if not (length and one.get('lr')) or any(row.get('by_epoch', True) for row in own):
            continue
        init_default_scope(scope_of(config))
        at = (0, length // 2, length - 1)
        rates = learning_rates(one['lr'], own, at)
        texts = (f'{rate:.3g} at {i}' for rate, i in zip(rates, at, strict=True))
        yield _line('  rate', f'{", ".join(texts)} ({", ".join(row["type"] for row in own)})')
    if wrapper.get('paramwise_cfg'):
        yield _line('  groups', str(dict(wrapper['paramwise_cfg'])))


def _line(name: str, text: str) -> str:
    return f'{name:<{_WIDTH}}  {text}'.rstrip()


def _call(part: Any, skip: tuple[str, ...] = ()) -> str:
    """A part as its class would be called: plain settings, and the type of each part inside it."""
    if not (isinstance(part, Mapping) and 'type' in part):
        return repr(part)
    kind = part['type'] if isinstance(part['type'], str) else part['type'].__name__
    settings = [
        f'{key}={_value(value)}'
        for key, value in part.items()
        if key != 'type' and key not in (*skip, *_OWN_LINES) and not _is_part(value)
    ]
    return f'{kind}({", ".join(settings)})' if settings else kind


def _is_part(value: Any) -> bool:
    return isinstance(value, Mapping) and 'type' in value


def _value(value: Any) -> str:
    text = repr(value.to_dict() if hasattr(value, 'to_dict') else value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def _difference(difference: Difference) -> str:
    place, before, after = difference
    if before == ABSENT:
        return f'{place}={_short(after)} is added'
    if after == ABSENT:
        return f'{place}={_short(before)} is left out'
    return f'{place}: {_short(before)} -> {_short(after)}'


def _short(value: Any) -> str:
    """A value on one line; of a list of parts the types."""
    if isinstance(value, list | tuple) and value and all(map(_is_part, value)):
        return f'[{", ".join(map(_call, value))}]'
    return _call(value) if _is_part(value) else _value(value)
