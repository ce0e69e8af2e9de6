"""refinenet_r101_cs2dz_reverse-js.py on mini night."""

_base_ = './refinenet_small_mini_day2night.py'
model = dict(loss_cdc=dict(attraction_weight=1.0, repulsion_weight=4.0))
