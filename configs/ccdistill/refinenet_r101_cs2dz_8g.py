"""The paper's run on a GPU of 8 GB: bfloat16, and maps that are computed again. See docs/performance.md."""

_base_ = './refinenet_r101_cs2dz_11g.py'
model = dict(recompute=('Bottleneck', 'ChainedResidualPooling'))
