"""ADVENT, MinEnt with entropy ranking, of the paper and not of its code: the loss takes the 30 % of each image's pixels with the largest entropy."""

_base_ = './deeplabv2_r101_cs2dz_minent.py'
model = dict(hardest=0.3)
