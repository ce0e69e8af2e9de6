"""ADVENT, MinEnt with entropy ranking on mini night: the loss takes the 30 % of each image's pixels with the largest entropy."""

_base_ = './refinenet_small_mini_day2night_minent.py'
model = dict(hardest=0.3)
