"""ADVENT, MinEnt with entropy ranking on mini night: the method of deeplabv2_r101_cs2dz_minent-ranked.py."""

_base_ = './refinenet_small_mini_day2night_minent.py'
model = dict(hardest=0.3)
