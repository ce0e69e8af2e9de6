#!/usr/bin/env python
"""Write a checkpoint of another trainer under the names of its model here."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mmseg_ccdistill.runtime.checkpoint_weights import renamed_weights
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.weight_conversion import conversion_parser, convert_file


def main(argv: Sequence[str] | None = None) -> None:
    """Rename."""
    parser = conversion_parser(str(__doc__))
    parser.add_argument('--take', help='key under which the weights lie, e.g. ema_state_dict')
    parser.add_argument('--strip', help='prefix to take off, e.g. model.; others are left out')
    parser.add_argument('--drop', help='part to take out of all names, e.g. _orig_mod.')
    parser.add_argument('--add', help='prefix to put on, e.g. backbone.')
    args = parser.parse_args(argv)
    weights = convert_file(
        args, lambda found: renamed_weights(found, args.take, args.strip, args.drop, args.add)
    )
    print(f'{args.dst}: {len(weights)} tensors, the first is {next(iter(weights))}')


if __name__ == '__main__':
    sys.exit(run_main(main))
