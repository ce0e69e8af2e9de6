"""Table 3, "w/o CDC and CDS" (44.8 in the paper): LAB transfer and static pseudo labels alone."""

_base_ = '../refinenet_r101_cs2dz.py'
model = dict(projection_head=None, loss_cdc=None, loss_cds=None)
