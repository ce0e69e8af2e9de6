"""The config that a checkpoint holds as text, read as data: nothing in it is executed.

mmengine writes ``config.pretty_text`` into ``meta['cfg']``: Python, and ``Config.fromstring`` would run it. A
checkpoint may come from anybody, so only assignments of plain values are read here: numbers, strings, lists, tuples,
``dict(name=value)`` and ``{key: value}``.
"""

from __future__ import annotations

import ast
import math
from typing import Any

#: Names that the text of a number may be.
_NAMED = {'inf': math.inf, 'nan': math.nan}


class ConfigTextError(ValueError):
    """A config's text holds more than plain values; the message says what."""


def plain_values(text: str) -> dict[str, Any]:
    """Settings of a config's text.

    Args:
        text: What ``Config.pretty_text`` gives.

    Returns:
        Value by name, in the order of the text.

    Raises:
        ConfigTextError: If it is no Python, or something else than an assignment of a plain value.
    """
    try:
        statements = ast.parse(text).body
        return dict(_assignment(statement) for statement in statements)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ConfigTextError):
            raise
        raise ConfigTextError(f'it is no text of a config ({type(error).__name__})') from error


def _assignment(statement: ast.stmt) -> tuple[str, Any]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            return target.id, _value(statement.value)
    raise _foreign(statement)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call):
        return _called(node)
    if isinstance(node, ast.Dict):
        if any(key is None for key in node.keys):
            raise _foreign(node)
        keys = [ast.literal_eval(key) for key in node.keys if key is not None]
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.List):
        return [_value(child) for child in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(child) for child in node.elts)
    if isinstance(node, ast.Name) and node.id in _NAMED:
        return _NAMED[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.operand, ast.Name):
        return -_value(node.operand)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _foreign(node) from error


def _called(node: ast.Call) -> Any:
    """``dict(…)`` alone is understood, and ``set()``, whose repr is a call."""
    name = node.func.id if isinstance(node.func, ast.Name) else ''
    if name == 'dict' and not node.args and all(keyword.arg for keyword in node.keywords):
        return {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
    if name == 'set' and not node.args and not node.keywords:
        return set()
    raise _foreign(node)


def _foreign(node: ast.AST) -> ConfigTextError:
    line = getattr(node, 'lineno', 0)
    found = ' '.join(ast.unparse(node).split())
    found = found if len(found) <= 60 else f'{found[:57]}...'
    return ConfigTextError(f'line {line} is no plain value: {found}')
