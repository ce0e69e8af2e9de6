"""The paper's projection head to the letter: no standardisation before the l2 normalisation."""

_base_ = './refinenet_r101_cs2dz.py'
model = dict(projection_head=dict(embedding_norm=None))
