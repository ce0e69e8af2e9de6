"""Table 3, "w/o CDC and CDS", on real frames: LAB transfer and static pseudo labels alone."""

_base_ = '../refinenet_small_camvid_day2night.py'
model = dict(projection_head=None, loss_cdc=None, loss_cds=None)
