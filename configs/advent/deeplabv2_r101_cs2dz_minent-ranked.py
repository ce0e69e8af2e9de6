"""ADVENT, MinEnt with entropy ranking: the 30 % of each image's pixels that have the largest entropy.

It is in the paper, not in its code.
"""

_base_ = './deeplabv2_r101_cs2dz_minent.py'
model = dict(hardest=0.3)
