"""Options of a tool, read from its source: completion must answer before torch could be imported."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from .shipped_files import shipped_root


@functools.cache
def option_names(file: Path) -> tuple[str, ...]:
    """The long options that a program takes, sorted.

    Read are the texts of ``add_argument('--name')`` in its file, in the functions ``add_...`` that it imports from
    ``mmseg_ccdistill``, and in the module there or in ``benchmarks`` that it imports ``main`` from.

    Args:
        file: The program; the package is searched beside it, up to the root of what ships.
    """
    tree = ast.parse(file.read_text(encoding='utf-8'))
    origin = file if file.is_relative_to(_package()) else None
    names = set(_options(tree))
    for module, function in _imported(tree, origin):
        other = _file_of(module)
        if function == 'main' and other is not None:
            names |= set(option_names(other))
        elif function.startswith('add_'):
            names |= set(_options_of_function(module, function))
    return tuple(sorted({'--help', *names}))


def _options_of_function(module: str, function: str) -> Iterator[str]:
    """Options that a function of the package adds, with those that functions beside it add for it."""
    file = _file_of(module)
    if file is None:
        return
    tree = ast.parse(file.read_text(encoding='utf-8'))
    here = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    elsewhere = {name: origin for origin, name in _imported(tree, file)}
    if function not in here:
        return
    yield from _options(here[function])
    for call in _calls(here[function]):
        if call.startswith('add_') and call != function:
            if call in here:
                yield from _options_of_function(module, call)
            elif call in elsewhere:
                yield from _options_of_function(elsewhere[call], call)


def _options(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and getattr(node.func, 'attr', '') == 'add_argument'):
            continue
        is_hidden = any(getattr(k.value, 'attr', '') == 'SUPPRESS' for k in node.keywords)
        texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if not is_hidden:
            yield from (t for t in texts if isinstance(t, str) and t.startswith('--'))


def _calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def _imported(tree: ast.AST, file: Path | None) -> Iterator[tuple[str, str]]:
    """(module, name) of what a file imports from the package and benchmarks; ``file`` is needed inside it alone."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        module = node.module or ''
        if node.level and file is not None:
            parts = file.relative_to(_package().parent).with_suffix('').parts[: -node.level]
            module = '.'.join([*parts, *filter(None, [node.module])])
        if module.startswith(('mmseg_ccdistill', 'benchmarks')):
            yield from ((module, alias.name) for alias in node.names)


def _file_of(module: str) -> Path | None:
    root = shipped_root() if module.startswith('benchmarks') else _package().parent
    path = root.joinpath(*module.split('.'))
    files = [path.with_suffix('.py'), path / '__init__.py']
    return next((file for file in files if file.is_file()), None)


def _package() -> Path:
    return Path(__file__).resolve().parents[1] / 'mmseg_ccdistill'
