"""ADVENT, AdvEnt on mini night: the method of deeplabv2_r101_cs2dz.py with a small RefineNet, for a CPU."""

_base_ = '../adaptsegnet/refinenet_small_mini_day2night_multi-level.py'
model = dict(type='AdvEntSegmentor')
