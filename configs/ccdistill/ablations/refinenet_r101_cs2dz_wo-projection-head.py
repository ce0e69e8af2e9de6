"""Table 3, "w/o project head in CDC" (38.2 in the paper): embeddings are the normalised features themselves."""

_base_ = '../refinenet_r101_cs2dz.py'
model = dict(projection_head=None)
