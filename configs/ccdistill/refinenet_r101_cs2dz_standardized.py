"""Not the paper's head: each channel of an embedding is standardised before the l2 normalisation.

The paper's head tends to one embedding everywhere; this one cannot: docs/method.md, "What becomes of the embedding".
"""

_base_ = './refinenet_r101_cs2dz.py'
model = dict(projection_head=dict(embedding_norm='standardize'))
