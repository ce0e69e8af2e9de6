"""Training checkpoints of tensors and plain Python values, and the objects that they stand for."""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from torch import Tensor

from .run_log import warn

_BUFFER_KEYS = {'log_history', 'count_history', 'max_length'}
_DROPPED = object()
# numpy's types that every torch has; arrays of others become lists.
_TENSOR_TYPES = {
    *('bool', 'uint8', 'int8', 'int16', 'int32', 'int64'),
    *('float16', 'float32', 'float64'),
}


def to_plain(value: Any, where: str = 'checkpoint') -> Any:
    """Convert a checkpoint so that ``torch.load(weights_only=True)`` reads it.

    Containers become dict, OrderedDict, list or tuple; numpy scalars become numbers, numpy arrays
    tensors; mmengine's ``HistoryBuffer`` becomes a dict of tensors. Numbers, strings and tensors are
    kept, the latter on the CPU. Other objects are left out with a warning that names them.

    Args:
        value: Checkpoint, or a part of one.
        where: Its name, for the warning.

    Returns:
        The converted copy; tensors are shared.
    """
    plain = _convert(value, where)
    return None if plain is _DROPPED else plain


def _convert(value: Any, where: str) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):  # of a subclass, torch would have to import the class
        return value.detach().as_subclass(Tensor).cpu()
    if isinstance(value, HistoryBuffer):
        log_history, count_history = value.data
        return {
            'log_history': torch.from_numpy(np.array(log_history, dtype=np.float64)),
            'count_history': torch.from_numpy(np.array(count_history, dtype=np.float64)),
            'max_length': int(value.max_length),
        }
    if isinstance(value, np.ndarray) and value.dtype.name in _TENSOR_TYPES:
        return torch.from_numpy(np.array(value))
    if isinstance(value, np.generic):
        return _convert(value.item(), where)
    if isinstance(value, Mapping):
        return _convert_mapping(value, where)
    if isinstance(value, (list, tuple, deque, set, frozenset, np.ndarray)):
        items = [_convert(item, f'{where}[{index}]') for index, item in enumerate(value)]
        kept = [item for item in items if item is not _DROPPED]
        return tuple(kept) if isinstance(value, tuple) else kept
    if isinstance(value, enum.Enum):
        return _convert(value.value, where)
    for kind in (int, float, str):  # subclasses
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, torch.dtype):
        return value
    warn(
        f'{where} is a {type(value).__name__}, neither tensor nor plain value: '
        'it is left out of the checkpoint'
    )
    return _DROPPED


def _convert_mapping(value: Mapping, where: str) -> dict:
    plain: dict = OrderedDict() if isinstance(value, OrderedDict) else {}
    for key, child in value.items():
        name, converted = _convert(key, f'{where} key'), _convert(child, f'{where}.{key}')
        if name is not _DROPPED and converted is not _DROPPED:
            plain[name] = converted
    if hasattr(value, '_metadata'):  # the versions of a state dict's modules
        plain._metadata = _convert(value._metadata, f'{where}._metadata')  # type: ignore[attr-defined]
    return plain


def restore_log(message_hub: dict[str, Any]) -> None:
    """Make mmengine's objects of the plain ``log_scalars`` in a saved ``message_hub``, in place."""
    scalars = message_hub.get('log_scalars', {})
    for key, value in scalars.items():
        if isinstance(value, dict) and set(value) == _BUFFER_KEYS:
            scalars[key] = HistoryBuffer(
                value['log_history'].cpu().numpy(),
                value['count_history'].cpu().numpy(),
                value['max_length'],
            )
