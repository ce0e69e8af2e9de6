"""How much of a checkpoint fits a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


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
        ValueError: If nothing fits, or most tensors of known names have another shape.
    """
    wanted = {name: value.shape for name, value in expected.items() if value.ndim}
    known = {name: getattr(loaded[name], 'shape', None) for name in wanted if name in loaded}
    matched = sum(shape == wanted[name] for name, shape in known.items())
    if not known:
        raise ValueError(
            f'the checkpoint fits nothing in the model: its first tensor is '
            f'{next(iter(loaded), "missing")}, the model expects e.g. {next(iter(wanted))}; pass a '
            'checkpoint of the same backbone and decode head, or convert its keys with '
            'tools/model_converters.'
        )
    if 2 * matched < len(known):
        name = next(name for name, shape in known.items() if shape != wanted[name])
        raise ValueError(
            f'the checkpoint is of another width: {name} has shape {_text(known[name])}, the model '
            f'expects {_text(wanted[name])}, and only {matched} of {len(known)} tensors fit; pass a '
            'checkpoint of the same backbone and decode head.'
        )
    return matched, len(wanted)


def _text(shape: Any) -> str:
    return 'none' if shape is None else str(tuple(shape))
