"""Matched distillation of refinenet_r101_cs2dz_matched.py on real frames, from a pretrained network."""

_base_ = './refinenet_efficientnet-lite0_two-cities_day2night.py'
model = dict(
    distill_into='target_night',
    feature='decode_head',
    projection_head=dict(in_channels=32, out_channels=64, embedding_norm='whiten'),
    loss_cdc=dict(js_tau=0.1, js_positions=2.5, parallax=1),
)
