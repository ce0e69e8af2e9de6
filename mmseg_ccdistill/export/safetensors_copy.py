"""An exported segmentor as safetensors and JSON: weights that cannot hold code, and what they are of."""

from __future__ import annotations

import importlib.util
import json
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine.config import Config
from torch import Tensor

from ..errors import UserInputError
from ..runtime.atomic_file import write_atomically
from ..runtime.checkpoint_file import load_checkpoint_file
from ..version import __version__


def copy_files(out: Path) -> tuple[Path, Path]:
    """Names of the copies beside an exported ``<out>.pth``.

    Args:
        out (Path): As given to ``night2mmseg.py``; a suffix ``.pth`` or ``.py`` is dropped.

    Returns:
        tuple[Path, Path]: ``<out>.safetensors`` and ``<out>.json``.

    Raises:
        UserInputError: If the package safetensors is not installed.
    """
    if importlib.util.find_spec('safetensors') is None:
        raise UserInputError(
            '--safetensors needs the package safetensors, which is not installed: '
            '`pip install safetensors`.'
        )
    stem = out.with_suffix('') if out.suffix in ('.pth', '.py') else out
    return stem.with_name(f'{stem.name}.safetensors'), stem.with_name(f'{stem.name}.json')


def write_safetensors(checkpoint: Path, config: Path, files: tuple[Path, Path]) -> None:
    """Write weights as safetensors, and classes, palette, architecture and test pipeline as JSON.

    Args:
        checkpoint (Path): Exported ``.pth``.
        config (Path): Exported ``.py``, without ``_base_``.
        files (tuple[Path, Path]): From :func:`copy_files`; replaced if they exist.
    """
    save = import_module('safetensors.torch').save  # optional
    saved: dict[str, Any] = load_checkpoint_file(checkpoint)
    weights: dict[str, Tensor] = {k: v.contiguous() for k, v in saved['state_dict'].items()}
    meta = saved['meta']['dataset_meta']
    plain = Config.fromfile(str(config)).to_dict()
    facts = {
        'mmseg_ccdistill_version': __version__,
        'weights': files[0].name,
        'classes': list(meta['classes']),
        'palette': [list(map(int, colour)) for colour in meta['palette']],
        'model': plain['model'],
        'test_pipeline': plain['test_pipeline'],
    }
    write_atomically(files[0], save(weights, metadata={'format': 'pt'}))
    write_atomically(files[1], (json.dumps(facts, indent=2) + '\n').encode())
