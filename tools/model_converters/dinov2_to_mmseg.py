#!/usr/bin/env python
"""Convert a public DINOv2 checkpoint (S, B or L, without registers) to MMSegmentation's VisionTransformer."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from mmseg_ccdistill.models.backbones.dinov2_keys import convert_dinov2_keys
from mmseg_ccdistill.runtime.checkpoint_weights import renamed_weights
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.weight_conversion import conversion_parser, convert_file


def main(argv: Sequence[str] | None = None) -> None:
    """Convert."""
    parser = conversion_parser(str(__doc__))
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
    args = parser.parse_args(argv)
    converted = convert_file(
        args,
        lambda found: convert_dinov2_keys(renamed_weights(found), args.patch_size, args.image_size),
    )
    width, _, side, _ = converted['patch_embed.projection.weight'].shape
    grid = round((converted['pos_embed'].shape[1] - 1) ** 0.5)
    print(
        f'{args.dst}: {len(converted)} tensors, embed_dims={width}, patch_size={side}, img_size={side * grid}'
    )


if __name__ == '__main__':
    sys.exit(run_main(main))
