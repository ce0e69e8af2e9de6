"""ADVENT, AdvEnt on RefineNet-R101: deeplabv2_r101_cs2dz.py with another segmentor, one rate for all of it."""

_base_ = '../adaptsegnet/refinenet_r101_cs2dz_multi-level.py'
model = dict(type='AdvEntSegmentor')
