"""Table 3, "w/o CDC" (45.3 in the paper): no content correlation, neither squares nor L_JS; style correlation stays."""

_base_ = '../refinenet_r101_cs2dz.py'
model = dict(projection_head=None, loss_cdc=None)
