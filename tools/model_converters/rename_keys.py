#!/usr/bin/env python
"""Write a checkpoint of another trainer under the names of its model here."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY, load_checkpoint_file, verify_checkpoint
from mmseg_ccdistill.runtime.checkpoint_weights import renamed_weights
from mmseg_ccdistill.runtime.command_line import run_main, trust_pickle
from mmseg_ccdistill.version import __version__


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('src', type=Path, help='checkpoint (.pth or .safetensors)')
    parser.add_argument('dst', type=Path, help='where to write the renamed weights (.pth)')
    parser.add_argument('--take', help='key under which the weights lie, e.g. ema_state_dict')
    parser.add_argument('--strip', help='prefix to take off, e.g. model.; others are left out')
    parser.add_argument('--drop', help='part to take out of all names, e.g. _orig_mod.')
    parser.add_argument('--add', help='prefix to put on, e.g. backbone.')
    parser.add_argument('--force', action='store_true', help='overwrite DST if it exists')
    parser.add_argument(
        '--trust-pickle',
        action='store_true',
        help='unpickle SRC even if it may execute code (see SECURITY.md)',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Rename.

    Raises:
        UserInputError: If DST exists, SRC holds no weights, or nothing has such names.
    """
    args = parse_args(argv)
    trust_pickle(args.trust_pickle)
    if args.dst.exists() and not args.force:
        raise UserInputError(f'{args.dst} exists: choose another name or pass --force.')
    checkpoint = load_checkpoint_file(args.src)
    if not isinstance(checkpoint, Mapping):
        raise UserInputError(f'{args.src}: expected a checkpoint with weights, names to tensors.')
    try:
        weights = renamed_weights(checkpoint, args.take, args.strip, args.drop, args.add)
    except ValueError as error:
        raise UserInputError(f'{args.src}: {error}') from error
    # The mark of our own files: any torch reads them as load_from.
    buffer = io.BytesIO()
    torch.save(dict(meta={OWN_KEY: __version__}, state_dict=weights), buffer)
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.dst, buffer.getvalue(), verify_checkpoint)
    print(f'{args.dst}: {len(weights)} tensors, the first is {next(iter(weights))}')


if __name__ == '__main__':
    sys.exit(run_main(main))
