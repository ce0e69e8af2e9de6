"""Table 3, "w/o inherent correlation" (45.9 in the paper): without Eq. 3's square."""

_base_ = '../refinenet_r101_cs2dz.py'
model = dict(loss_cdc=dict(inherent_weight=0.0))
