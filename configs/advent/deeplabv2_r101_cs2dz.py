"""ADVENT, AdvEnt: AdaptSegNet of two levels whose discriminators see the entropy. Weights as published."""

_base_ = '../adaptsegnet/deeplabv2_r101_cs2dz_multi-level.py'
model = dict(type='AdvEntSegmentor')
