#!/usr/bin/env python
"""Convert a public PyTorch RefineNet checkpoint to the names of this package.

For the RefineNet checkpoints of DrSleep/refinenet-pytorch and of DANNet
(``pretrain_refinenet_150000.pth``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.decode_heads.refinenet_keys import convert_refinenet_keys
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.weight_conversion import conversion_parser, convert_file

#: Where checkpoints of other trainers keep their weights.
_WRAPPERS = ('state_dict', 'model', 'segmenter')


def find_weights(checkpoint: Mapping[str, Any]) -> Mapping[str, Tensor]:
    """The state dict in a checkpoint, or the checkpoint if it is one.

    Raises:
        UserInputError: If it holds anything but tensors.
    """
    for key in _WRAPPERS:
        if isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
    if not all(isinstance(value, Tensor) for value in checkpoint.values()):
        raise UserInputError('expected a state dict, names to tensors.')
    return checkpoint


def main(argv: Sequence[str] | None = None) -> None:
    """Convert."""
    args = conversion_parser(str(__doc__).partition('\n')[0]).parse_args(argv)
    skipped = 0

    def convert(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
        nonlocal skipped
        weights = find_weights(checkpoint)
        skipped = sum(key.removeprefix('module.').startswith('fc.') for key in weights)
        return convert_refinenet_keys(weights)

    converted = convert_file(args, convert)
    backbone = sum(key.startswith('backbone.') for key in converted)
    print(
        f'{args.dst}: {len(converted)} tensors ({backbone} backbone, '
        f'{len(converted) - backbone} decode head), {skipped} skipped (ImageNet classifier).'
    )


if __name__ == '__main__':
    sys.exit(run_main(main))
