"""What the tools that convert a checkpoint share: arguments, reading, and writing a file of this package."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserInputError
from ..version import __version__
from .atomic_file import write_atomically
from .checkpoint_file import OWN_KEY, load_checkpoint_file, verify_checkpoint
from .command_line import add_trust_argument, trust_pickle
from .output_place import check_output_file


def conversion_parser(description: str) -> argparse.ArgumentParser:
    """A parser with the arguments of every conversion."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('src', type=Path, help='checkpoint to read (.pth or .safetensors)')
    parser.add_argument('dst', type=Path, help='where to write the converted weights (.pth)')
    parser.add_argument('--force', action='store_true', help='overwrite DST if it exists')
    add_trust_argument(parser)
    return parser


def convert_file(
    args: argparse.Namespace, convert: Callable[[Mapping[str, Any]], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Read SRC without executing code in it and write its converted weights to DST, whole or not at all.

    The file has the mark of this package, so that any torch reads it as initial weights.

    Args:
        args: What a :func:`conversion_parser` has parsed.
        convert: Makes names and tensors of what SRC holds.

    Returns:
        What was written.

    Raises:
        UserInputError: If DST exists or cannot be written, or SRC holds no weights that ``convert`` takes.
    """
    trust_pickle(args.trust_pickle)
    check_output_file(args.dst, 'choose another DST')
    if args.dst.exists() and not args.force:
        raise UserInputError(f'{args.dst} exists: choose another name or pass --force.')
    checkpoint = load_checkpoint_file(args.src)
    if not isinstance(checkpoint, Mapping):
        raise UserInputError(f'{args.src}: expected a state dict, names to tensors.')
    try:
        weights = convert(checkpoint)
    except ValueError as error:
        raise UserInputError(f'{args.src}: {error}') from error
    buffer = io.BytesIO()
    torch.save(dict(meta={OWN_KEY: __version__}, state_dict=weights), buffer)
    args.dst.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(args.dst, buffer.getvalue(), verify_checkpoint)
    return weights
