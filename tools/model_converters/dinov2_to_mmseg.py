#!/usr/bin/env python
"""Convert a public DINOv2 checkpoint (S, B or L, without registers) to MMSegmentation's VisionTransformer."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.backbones.dinov2_keys import convert_dinov2_keys
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY, load_checkpoint_file, verify_checkpoint
from mmseg_ccdistill.runtime.checkpoint_weights import renamed_weights
from mmseg_ccdistill.runtime.command_line import run_main, trust_pickle
from mmseg_ccdistill.version import __version__


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', type=Path, help='public checkpoint (.pth or .safetensors)')
    parser.add_argument('dst', type=Path, help='where to write the converted weights (.pth)')
    parser.add_argument(
        '--patch-size',
        type=int,
        metavar='PIXELS',
        help='resize the patch kernel, e.g. to 16 (default: leave it, 14)',
    )
    parser.add_argument(
        '--image-size',
        type=int,
        metavar='PIXELS',
        help='resize the positions to those of a square image, e.g. 512 (default: leave them, 518)',
    )
    parser.add_argument('--force', action='store_true', help='overwrite DST if it exists')
    parser.add_argument(
        '--trust-pickle',
        action='store_true',
        help='unpickle SRC even if it may execute code (see SECURITY.md)',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Convert.

    Raises:
        UserInputError: If DST exists, or SRC is no DINOv2 checkpoint that the network can hold.
    """
    args = parse_args(argv)
    trust_pickle(args.trust_pickle)
    if args.dst.exists() and not args.force:
        raise UserInputError(f'{args.dst} exists: choose another name or pass --force.')
    checkpoint = load_checkpoint_file(args.src)
    if not isinstance(checkpoint, Mapping):
        raise UserInputError(f'{args.src}: expected a checkpoint with weights, names to tensors.')
    try:
        weights = renamed_weights(checkpoint)
        converted = convert_dinov2_keys(weights, args.patch_size, args.image_size)
    except ValueError as error:
        raise UserInputError(f'{args.src}: {error}') from error
    # The mark of our own files: any torch reads them as initial weights.
    buffer = io.BytesIO()
    torch.save(dict(meta={OWN_KEY: __version__}, state_dict=converted), buffer)
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.dst, buffer.getvalue(), verify_checkpoint)
    width, _, side, _ = converted['patch_embed.projection.weight'].shape
    grid = round((converted['pos_embed'].shape[1] - 1) ** 0.5)
    print(
        f'{args.dst}: {len(converted)} tensors, embed_dims={width}, patch_size={side}, img_size={side * grid}'
    )


if __name__ == '__main__':
    sys.exit(run_main(main))
