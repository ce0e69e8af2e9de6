"""The paper's projection head to the letter, on mini night: its embedding collapses, see docs/method.md."""

_base_ = './refinenet_small_mini_day2night.py'
model = dict(projection_head=dict(embedding_norm=None))
