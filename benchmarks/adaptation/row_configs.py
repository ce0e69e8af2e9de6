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
    """Overrides that move the data roots of a config.

    Args:
        config: Config whose data roots end in keys of ``roots``: ``cityscapes``, ``dark_zurich``, ``kitti``.
        roots: The folders to take.

    Returns:
        Dotted keys and folders.
    """
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    found = [pair for key in loaders for pair in _data_roots(config[key], key)]
    return {key: str(roots[Path(old).name]) for key, old in found}


def _data_roots(node: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, list | tuple):
        node = {str(index): child for index, child in enumerate(node)}
    if isinstance(node, Mapping):
        for name, child in node.items():
            if name == 'data_root':
                yield f'{key}.{name}', child
            else:
                yield from _data_roots(child, f'{key}.{name}')
