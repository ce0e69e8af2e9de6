"""The other reading of lambda: on the repulsion of Eq. 1, where the sentence below it ("reverse JS") has it.

Eq. 1 prints lambda on the attraction, and refinenet_r101_cs2dz.py follows the equation: docs/method.md.
"""

_base_ = './refinenet_r101_cs2dz.py'
model = dict(loss_cdc=dict(attraction_weight=1.0, repulsion_weight=4.0))
