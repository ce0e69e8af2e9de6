"""Table 3, "w/o L_JS in CDC" (44.6 in the paper): both correlation terms stay."""

_base_ = '../refinenet_r101_cs2dz.py'
model = dict(loss_cdc=dict(js_weight=0.0))
