"""Values of a config against the plain types in the signature of the class that gets them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

#: Types that are judged, by their names in a signature: what a value may be.
_PLAIN: dict[str, tuple[type, ...]] = {
    'int': (int,),
    'float': (int, float),
    'bool': (bool,),
    'str': (str,),
    'None': (type(None),),
    **dict.fromkeys(('tuple', 'list', 'Sequence', 'Collection', 'Iterable'), (Sequence,)),
    **dict.fromkeys(('dict', 'Mapping'), (Mapping,)),
}


def broken_type(built: Callable[..., Any], name: str, value: Any) -> str | None:
    """The annotation of an argument that a value does not fit.

    Only the outermost type is judged, and only where all alternatives of the annotation are numbers, words, switches,
    None, sequences or dicts.

    Args:
        built: A class or function.
        name: Its argument.
        value: The value in the config.

    Returns:
        The annotation as it is written, such as ``'float | None'``; None if the value fits or cannot be judged.
    """
    annotation = _annotation(built, name)
    if annotation is None:
        return None
    members = [member.partition('[')[0] for member in _alternatives(annotation)]
    if not all(member in _PLAIN for member in members):
        return None
    return None if any(_fits(value, member) for member in members) else annotation


def _fits(value: Any, member: str) -> bool:
    if isinstance(value, bool):
        return member == 'bool'
    if isinstance(value, str):
        return member == 'str'  # no sequence of letters
    return isinstance(value, _PLAIN[member])


def _annotation(built: Callable[..., Any], name: str) -> str | None:
    """What stands at an argument in the nearest class that names it, as text."""
    functions: Iterator[Any] = iter([built])
    if isinstance(built, type):
        functions = (vars(cls)['__init__'] for cls in built.__mro__ if '__init__' in vars(cls))
    for function in functions:
        try:
            parameter = inspect.signature(function).parameters.get(name)
        except (TypeError, ValueError):  # written in C
            return None
        if parameter is None:
            continue
        if parameter.annotation is parameter.empty:
            return None
        if isinstance(parameter.annotation, str):
            return parameter.annotation
        return inspect.formatannotation(parameter.annotation)
    return None


def _alternatives(annotation: str) -> list[str]:
    """Split ``int | tuple[int | None, int]`` at its outer bars."""
    flat = annotation
    while (inner := re.sub(r'\[[^\[\]]*\]', '', flat)) != flat:
        flat = inner
    return [part.strip() for part in flat.split('|')]
