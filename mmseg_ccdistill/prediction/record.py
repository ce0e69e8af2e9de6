"""What ``predictions.json`` says of every prediction: which input it is of, and with which settings it was made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import UserInputError


class Made(NamedTuple):
    """A prediction.

    Attributes:
        kind: Key of ``KINDS``.
        root: Folder from which the folders of the inputs are kept, absolute.
        opacity: Share of the class colours; None for a kind without.
        max_frames: Of a video; None: all, and for images.
        name: The input, from the root on.
    """

    kind: str
    root: str
    opacity: float | None
    max_frames: int | None
    name: str

    @property
    def source(self) -> str:
        """The input."""
        return os.path.join(self.root, self.name)


def read_made(facts: Mapping[str, Any] | None, file: str | os.PathLike[str]) -> list[Made]:
    """The predictions that a record tells of, those of earlier versions left out: they told of no kind.

    Args:
        facts: Content of the record; None if there is none.
        file: The record, for the message.

    Raises:
        UserInputError: If it is not whole.
    """
    calls = (facts or {}).get('calls', [])
    if not isinstance(calls, list) or not all(map(_is_whole, calls)):
        raise UserInputError(
            f'the record {str(file)!r} is not whole: expected kind, root, opacity, max_frames and inputs of each call, '
            'as predict.py writes them; choose another --out, or delete the record to keep the predictions that are '
            'there whatever they are of'
        )
    return [
        Made(call['kind'], call['root'], call['opacity'], call['max_frames'], name)
        for call in calls
        if 'kind' in call
        for name in call['inputs']
    ]


def _is_whole(call: Any) -> bool:
    if not isinstance(call, Mapping):
        return False
    if 'kind' not in call:
        return True
    inputs = call.get('inputs')
    texts = [call['kind'], call.get('root'), *(inputs if isinstance(inputs, list) else [None])]
    return {'opacity', 'max_frames'} <= call.keys() and all(isinstance(t, str) for t in texts)


def calls_of(made: Iterable[Made]) -> list[dict[str, Any]]:
    """Predictions as a record tells of them: the inputs of one kind and of the same settings together."""
    calls: dict[tuple, list[str]] = {}
    for one in made:
        calls.setdefault(one[:-1], []).append(one.name)
    return [
        dict(zip(Made._fields[:-1], key, strict=True), inputs=sorted(names))
        for key, names in calls.items()
    ]
