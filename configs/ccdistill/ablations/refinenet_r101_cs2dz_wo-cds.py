"""Table 3, "w/o CDS" (44.0 in the paper): no style correlation."""

_base_ = '../refinenet_r101_cs2dz.py'
model = dict(loss_cds=None)
