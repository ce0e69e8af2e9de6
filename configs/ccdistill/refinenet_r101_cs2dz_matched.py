"""Beyond the paper: M_d teaches M_n on T_n, place by place up to a shift, in whitened embeddings of the decoder map.

Why each part is there: docs/method.md, "Matched distillation".
Measured on small networks only: docs/studies/results.md.
"""

_base_ = './refinenet_r101_cs2dz.py'
model = dict(
    distill_into='target_night',
    feature='decode_head',
    projection_head=dict(in_channels=256, out_channels=64, embedding_norm='whiten'),
    loss_cdc=dict(js_tau=0.1, js_positions=2.5, parallax=1),
)
