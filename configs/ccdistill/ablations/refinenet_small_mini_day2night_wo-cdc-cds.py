"""Table 3, "w/o CDC and CDS", on mini night: LAB transfer and static pseudo labels alone."""

_base_ = '../refinenet_small_mini_day2night.py'
model = dict(projection_head=None, loss_cdc=None, loss_cds=None)
