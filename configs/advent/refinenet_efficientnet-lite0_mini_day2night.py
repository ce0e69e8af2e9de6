"""ADVENT, AdvEnt on mini night from a pretrained network: deeplabv2_r101_cs2dz.py with EfficientNet-Lite0."""

_base_ = '../adaptsegnet/refinenet_efficientnet-lite0_mini_day2night_multi-level.py'
model = dict(type='AdvEntSegmentor')
