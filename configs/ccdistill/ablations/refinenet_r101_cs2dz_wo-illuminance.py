"""Table 3, "w/o illuminance correlation" (45.7 in the paper): without Eq. 2's square."""

_base_ = '../refinenet_r101_cs2dz.py'
model = dict(loss_cdc=dict(illumination_weight=0.0))
