#!/usr/bin/env python
"""Convert a public PyTorch RefineNet checkpoint to the names of this package.

For the RefineNet checkpoints of DrSleep/refinenet-pytorch and of DANNet
(``pretrain_refinenet_150000.pth``).
"""

from __future__ import annotations

import argparse
import os
import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmseg_ccdistill.utils.refinenet_keys import convert_refinenet_keys

#: Where checkpoints of other trainers keep their weights.
_WRAPPERS = ('state_dict', 'model', 'segmenter')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('src', type=Path, help='public checkpoint (.pth)')
    parser.add_argument('dst', type=Path, help='where to write the converted checkpoint')
    parser.add_argument('--force', action='store_true', help='overwrite DST if it exists')
    return parser.parse_args(argv)


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Weights of a checkpoint, loaded without executing code in it.

    Args:
        path (Path): Checkpoint, a flat state dict or a dict that holds one.

    Returns:
        dict[str, Tensor]: Names to tensors.

    Raises:
        ValueError: If the file is missing, is not a checkpoint of tensors alone, or holds something
            else.
    """
    if not path.is_file():
        raise ValueError(f'{path}: no such file.')
    try:
        checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f'{path}: expected a PyTorch checkpoint of tensors and plain values alone ({reason}).'
        ) from error
    for key in _WRAPPERS:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
    if not isinstance(checkpoint, Mapping) or not all(
        isinstance(v, Tensor) for v in checkpoint.values()
    ):
        raise ValueError(f'{path}: expected a state dict, names to tensors.')
    return dict(checkpoint)


def main(argv: Sequence[str] | None = None) -> int:
    """Convert; 0 on success, 1 with a sentence on stderr otherwise."""
    args = parse_args(argv)
    try:
        if args.dst.exists() and not args.force:
            raise ValueError(f'{args.dst} exists: choose another name or pass --force.')
        source = load_state_dict(args.src)
        try:
            converted = convert_refinenet_keys(source)
        except ValueError as error:
            raise ValueError(f'{args.src}: {error}') from error
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    partial = args.dst.with_name(f'{args.dst.name}.partial')
    torch.save(dict(meta=dict(), state_dict=converted), partial)
    os.replace(partial, args.dst)
    backbone = sum(key.startswith('backbone.') for key in converted)
    skipped = sum(key.removeprefix('module.').startswith('fc.') for key in source)
    print(
        f'{args.dst}: {len(converted)} tensors ({backbone} backbone, '
        f'{len(converted) - backbone} decode head), {skipped} skipped (ImageNet classifier).'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
