"""Beyond the paper, on RefineNet-R50: refinenet_r101_cs2dz_plus.py with fewer blocks.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = './refinenet_r101_cs2dz_plus.py'
model = dict(segmentor=dict(backbone=dict(depth=50)))
load_from = 'work_dirs/refinenet/refinenet_r50_cityscapes/iter_40000.pth'
