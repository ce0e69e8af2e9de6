"""refinenet_r101_cs2dz_standardized.py on mini night."""

_base_ = './refinenet_small_mini_day2night.py'
model = dict(projection_head=dict(embedding_norm='standardize'))
