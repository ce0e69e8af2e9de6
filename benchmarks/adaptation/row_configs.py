"""The config of a row: a file of the repository, or one that is derived from the file of the R101 network."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks.adaptation.rows import ROWS
from benchmarks.adaptation.suites import CONFIGS, PAPER_CONFIG, Suite
from benchmarks.repository import ROOT
from mmseg_ccdistill.runtime.atomic_file import write_atomically

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def assignments(path: Path) -> str:
    """What a config file sets beside its bases, as it stands there.

    Args:
        path: Config file whose assignments name nothing of its bases.

    Returns:
        Its lines from the first assignment after ``_base_`` on.

    Raises:
        ValueError: If they do refer to a base.
    """
    text = path.read_text(encoding='utf-8')
    parts = []
    for node in ast.parse(text).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        names = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
        is_base = isinstance(node, ast.Assign) and '_base_' in ast.unparse(node.targets[0])
        if is_docstring or is_base:
            continue
        if '_base_' in names:
            raise ValueError(f'{path} refers to its base, so it holds for that base alone')
        parts.append(ast.get_source_segment(text, node) or '')
    return '\n'.join(parts)


def row_config(suite: Suite, name: str, folder: Path) -> str:
    """Config of a row: a file of the repository, or one that is written into ``folder``.

    Args:
        suite: The suite.
        name: Name of the row.
        folder: Where derived configs are kept.

    Returns:
        Path of the config; of a derived one it is absolute.
    """
    row = ROWS[name]
    network = 'continued' if row.network == 'source' else row.network
    base = CONFIGS / suite.configs.get(network, suite.configs[row.network])
    if row.base is not None:
        base = ROOT / row_config(suite, row.base, folder)
        text = '' if row.changes is None else assignments(Path(__file__).parent / row.changes)
    elif row.network == 'source':  # measured at night on the way, as the other rows are
        text = '\n'.join(
            f'val_{part} = dict(_base_.test_{part}, _delete_=True)'
            for part in ('dataloader', 'evaluator')
        )
    elif row.ablation is not None and suite.configs['full'] != PAPER_CONFIG:
        text = assignments(CONFIGS / row.ablation)
    else:
        base, text = (CONFIGS / row.ablation if row.ablation else base), ''
    if not text:
        return str(base.relative_to(ROOT) if base.is_relative_to(CONFIGS) else base)
    path = folder / f'{name}.py'
    content = f'"""Row {row.title!r}, derived."""\n\n_base_ = {[str(base)]!r}\n{text}\n'.encode()
    if not path.exists() or path.read_bytes() != content:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    return str(path)


def root_options(config: Config, roots: Mapping[str, Path]) -> dict[str, str]:
    """Overrides that move the data of a config: its data roots, and files that it names below them.

    Args:
        config: Config whose data roots end in keys of ``roots``: ``cityscapes``, ``dark_zurich``, ``kitti``.
        roots: The folders to take.

    Returns:
        Dotted keys and folders.
    """
    olds = _old_roots(config)
    found = [pair for key in _LOADERS for pair in _texts(config[key], key)]
    moved = {key: _moved(text, olds, roots) for key, text in found}
    return {key: moved[key] for key, text in found if moved[key] != text}


def moved_paths(node: Any, config: Config, roots: Mapping[str, Path]) -> Any:
    """A copy of plain values, with the files moved that lie below the data roots of a config.

    Args:
        node: Dictionaries, lists and values.
        config: See :func:`root_options`.
        roots: The folders to take.
    """
    olds = _old_roots(config)

    def copy(node: Any) -> Any:
        if isinstance(node, Mapping):
            return {key: copy(child) for key, child in node.items()}
        if isinstance(node, list | tuple):
            return [copy(child) for child in node]
        return _moved(node, olds, roots) if isinstance(node, str) else node

    return copy(node)


def _old_roots(config: Config) -> set[str]:
    """The data roots of a config."""
    texts = [pair for key in _LOADERS for pair in _texts(config[key], key)]
    return {text.rstrip('/') for key, text in texts if key.endswith('.data_root')}


def _moved(text: str, olds: set[str], roots: Mapping[str, Path]) -> str:
    """A path below one of the old roots, below the new one."""
    for old in olds:
        if text.rstrip('/') == old:
            return str(roots[Path(old).name])
        if text.startswith(f'{old}/'):
            return f'{roots[Path(old).name]}/{text[len(old) + 1 :]}'
    return text


def _texts(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """All text below a node, by dotted keys."""
    if isinstance(node, list | tuple):
        node = {str(index): child for index, child in enumerate(node)}
    if isinstance(node, Mapping):
        for name, child in node.items():
            yield from _texts(child, f'{key}.{name}')
    elif isinstance(node, str):
        yield key, node
