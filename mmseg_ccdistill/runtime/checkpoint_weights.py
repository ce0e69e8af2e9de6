"""Where the weights of a checkpoint lie, and under which names a model would find them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import UserInputError
from .checkpoint_file import CheckpointFileError

#: The tool that writes a checkpoint under other names.
RENAME_TOOL = 'python tools/model_converters/rename_keys.py SRC DST'

# Parts that wrappers put into names: torch.compile, and DDP or an averaged model.
_WRAPPER_PARTS = ('_orig_mod.', 'module.')


def check_weights(checkpoint: Any, path: object, may_be_nested: bool = False) -> None:
    """Check that a checkpoint holds tensors where mmengine looks for them.

    mmengine takes what lies under ``state_dict``, or the whole if there is no such key, and warns
    where nothing of it can be used: the run would start from random weights.

    Args:
        checkpoint: What the file holds.
        path: The file, for the message.
        may_be_nested: Whether tensors under another key will do: a backbone with a reader of its
            own (Swin's takes ``model``) finds them.

    Raises:
        CheckpointFileError: If there are none.
    """
    top = checkpoint if isinstance(checkpoint, Mapping) else {}
    weights = top.get('state_dict', top)
    elsewhere = [
        str(key) for key, value in top.items() if key != 'state_dict' and _holds_tensors(value)
    ]
    if _holds_tensors(weights) or (may_be_nested and elsewhere):
        return
    where = 'its state_dict' if 'state_dict' in top else 'it'
    expected = 'expected the weights of a model, names to tensors, under state_dict'
    if elsewhere:
        keys = ', '.join(map(repr, elsewhere))
        raise CheckpointFileError(
            f'{path}: {where} holds no tensors, those under {keys} are not read: {expected}; write them there: '
            f'{RENAME_TOOL} --take {elsewhere[0]}'
        )
    if not isinstance(weights, Mapping) or not weights:
        raise CheckpointFileError(
            f'{path}: {where} holds no tensors: {expected}; name a checkpoint that holds them'
        )
    raise CheckpointFileError(
        f'{path}: {where} holds no tensors, but {len(weights)} other objects (the first is '
        f'{next(iter(weights))!r}): {expected}; turn numpy arrays into tensors with torch.from_numpy and save it '
        'again'
    )


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(v, Tensor) for v in value.values())


def renamed_weights(
    checkpoint: Mapping[str, Any],
    take: str | None = None,
    strip: str | None = None,
    drop: str | None = None,
    add: str | None = None,
) -> dict[str, Tensor]:
    """The tensors of a checkpoint under other names.

    Args:
        checkpoint: What the file holds.
        take: Key under which the weights lie. Defaults to None: ``state_dict``, or the whole if there
            is no such key.
        strip: Prefix to take off; tensors without it are left out. Defaults to None.
        drop: Part to take out wherever it stands in a name. Defaults to None.
        add: Prefix to put on. Defaults to None.

    Returns:
        Names to tensors.

    Raises:
        UserInputError: If nothing is left, two tensors would get one name, or ``take`` names no dict.
    """
    weights = checkpoint.get('state_dict', checkpoint) if take is None else checkpoint.get(take)
    if not isinstance(weights, Mapping):
        raise UserInputError(
            f'there are no weights under {take!r}; it has the keys {list(checkpoint)}'
        )
    tensors = {str(name): value for name, value in weights.items() if isinstance(value, Tensor)}
    renamed = {}
    for name, value in tensors.items():
        if strip is not None and not name.startswith(strip):
            continue
        new = name.removeprefix(strip or '')
        new = (add or '') + (new.replace(drop, '') if drop else new)
        if new in renamed:
            raise UserInputError(f'two tensors would be called {new!r}: take one of them alone')
        renamed[new] = value
    if not renamed:
        raise UserInputError(
            f'no tensor has such a name; the first of {len(tensors)} is {next(iter(tensors), None)!r}'
        )
    return renamed


def renaming_advice(loaded: Mapping[str, Any], expected: Mapping[str, Tensor]) -> str | None:
    """Say which change of names would make tensors fit a model's state dict; None if no prefix explains the names."""
    shapes = {name: value.shape for name, value in expected.items() if value.ndim}
    found = {name: value.shape for name, value in loaded.items() if isinstance(value, Tensor)}
    stripped = _prefixes(found, shapes)
    if stripped:
        (prefix, count), *others = stripped.most_common(4)
        also = f' (or {", ".join(repr(p) for p, _ in others)})' if others else ''
        return (
            f'{count} of its tensors fit without their prefix {prefix!r}{also}: write them without it: '
            f'{RENAME_TOOL} --strip {prefix}'
        )
    for part in _WRAPPER_PARTS:
        count = sum(
            shapes.get(name.replace(part, '')) == shape
            for name, shape in found.items()
            if part in name
        )
        if count:
            return (
                f'{count} of its tensors fit without {part!r} in their names: write them without it: '
                f'{RENAME_TOOL} --drop {part}'
            )
    endings = _prefixes(shapes, found)
    if endings:
        prefix, count = endings.most_common(1)[0]
        return (
            f'{count} of its tensors fit behind the prefix {prefix!r}: write them with it: '
            f'{RENAME_TOOL} --add {prefix}'
        )
    return None


def _prefixes(long: Mapping[str, torch.Size], short: Mapping[str, torch.Size]) -> Counter[str]:
    """Count the prefixes without which long names are short ones of the same shape."""
    counts: Counter[str] = Counter()
    for name, shape in long.items():
        parts = name.split('.')
        for k in range(1, len(parts)):
            if short.get('.'.join(parts[k:])) == shape:
                counts['.'.join(parts[:k]) + '.'] += 1
                break
    return counts
