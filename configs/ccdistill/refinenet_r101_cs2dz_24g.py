"""The paper's run on a GPU of 24 GB with TF32 (RTX 3090 and later): float32, 8.7 GiB of activations, channels last.

The paper's own card, a Titan RTX, has no TF32: there take refinenet_r101_cs2dz.py. See docs/performance.md.
"""

_base_ = './refinenet_r101_cs2dz.py'
channels_last = True
