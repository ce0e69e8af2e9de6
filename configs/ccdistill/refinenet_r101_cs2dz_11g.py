"""The paper's run on a GPU of 11 GB: bfloat16, 4.9 GiB of activations. See docs/performance.md."""

_base_ = './refinenet_r101_cs2dz.py'
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16', loss_scale=dict(enabled=False))
