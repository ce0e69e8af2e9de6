"""Beyond the paper: the published self-training on MiT-B2: segformer_mit-b5_cs2dz_plus.py with fewer layers.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = './segformer_mit-b5_cs2dz_plus.py'
model = dict(segmentor=dict(backbone=dict(num_layers=[3, 4, 6, 3])))
load_from = 'work_dirs/segformer/segformer_mit-b2_cityscapes/iter_40000.pth'
