"""How much of a checkpoint fits a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import UserInputError
from .checkpoint_weights import renaming_advice


def check_match(loaded: Mapping[str, Any], expected: Mapping[str, Tensor]) -> tuple[int, int]:
    """Count the tensors that fit by name and shape; refuse a checkpoint of another model.

    Scalars (step counters of batch norm) do not count: they fit any model. A checkpoint of the
    same layer names but other widths fits only in a few biases, so it is refused too.

    Args:
        loaded: Tensors of the checkpoint by name.
        expected: State dict of the model.

    Returns:
        Number of tensors that fit, and number of tensors of the model.

    Raises:
        UserInputError: If nothing fits, or most tensors of known names have another shape.
    """
    wanted = {name: value.shape for name, value in expected.items() if value.ndim}
    known = {name: _shape(loaded[name]) for name in wanted if name in loaded}
    matched = sum(shape == wanted[name] for name, shape in known.items())
    if not known:
        if not loaded:
            raise UserInputError(
                'the checkpoint fits nothing in the model: it holds no tensors; pass a checkpoint of the same '
                'backbone and decode head.'
            )
        advice = renaming_advice(loaded, expected) or (
            'pass a checkpoint of the same backbone and decode head, or convert its keys with '
            'tools/model_converters.'
        )
        raise UserInputError(
            f'the checkpoint fits nothing in the model: its first tensor is {next(iter(loaded))}, the model '
            f'expects e.g. {next(iter(wanted))}; {advice}'
        )
    if 2 * matched < len(known):
        name = next(name for name, shape in known.items() if shape != wanted[name])
        raise UserInputError(
            f'the checkpoint is of another width: {name} has shape {_text(known[name])}, the model '
            f'expects {_text(wanted[name])}, and only {matched} of {len(known)} tensors fit; pass a '
            'checkpoint of the same backbone and decode head.'
        )
    return matched, len(wanted)


def _shape(value: Any) -> Any:
    """Shape of a tensor; None for an array or another object, which is not loaded."""
    return value.shape if isinstance(value, Tensor) else None


def _text(shape: Any) -> str:
    return 'none (no tensor)' if shape is None else str(tuple(shape))
