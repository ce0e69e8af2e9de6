#!/usr/bin/env python
"""Convert a public PyTorch RefineNet checkpoint to the names of this package.

For the RefineNet checkpoints of DrSleep/refinenet-pytorch and of DANNet
(``pretrain_refinenet_150000.pth``).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.decode_heads.refinenet_keys import convert_refinenet_keys
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY, load_checkpoint_file
from mmseg_ccdistill.runtime.command_line import run_main, trust_pickle
from mmseg_ccdistill.version import __version__

#: Where checkpoints of other trainers keep their weights.
_WRAPPERS = ('state_dict', 'model', 'segmenter')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('src', type=Path, help='public checkpoint (.pth)')
    parser.add_argument('dst', type=Path, help='where to write the converted checkpoint')
    parser.add_argument('--force', action='store_true', help='overwrite DST if it exists')
    parser.add_argument(
        '--trust-pickle',
        action='store_true',
        help='unpickle SRC even if it may execute code (see SECURITY.md)',
    )
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
    checkpoint = load_checkpoint_file(path)
    for key in _WRAPPERS:
        if isinstance(checkpoint, Mapping) and isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
    if not isinstance(checkpoint, Mapping) or not all(
        isinstance(v, Tensor) for v in checkpoint.values()
    ):
        raise UserInputError(f'{path}: expected a state dict, names to tensors.')
    return dict(checkpoint)


def main(argv: Sequence[str] | None = None) -> None:
    """Convert.

    Raises:
        UserInputError: If DST exists, or SRC is not a public RefineNet checkpoint.
    """
    args = parse_args(argv)
    trust_pickle(args.trust_pickle)
    if args.dst.exists() and not args.force:
        raise UserInputError(f'{args.dst} exists: choose another name or pass --force.')
    source = load_state_dict(args.src)
    try:
        converted = convert_refinenet_keys(source)
    except ValueError as error:
        raise UserInputError(f'{args.src}: {error}') from error
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    partial = args.dst.with_name(f'{args.dst.name}.partial')
    # The mark of our own files: any torch reads them as load_from.
    torch.save(dict(meta={OWN_KEY: __version__}, state_dict=converted), partial)
    os.replace(partial, args.dst)
    backbone = sum(key.startswith('backbone.') for key in converted)
    skipped = sum(key.removeprefix('module.').startswith('fc.') for key in source)
    print(
        f'{args.dst}: {len(converted)} tensors ({backbone} backbone, '
        f'{len(converted) - backbone} decode head), {skipped} skipped (ImageNet classifier).'
    )


if __name__ == '__main__':
    sys.exit(run_main(main))
