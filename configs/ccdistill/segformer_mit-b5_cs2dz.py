"""CCDistill on SegFormer MiT-B5: segformer_mit-b2_cs2dz.py with more layers."""

_base_ = './segformer_mit-b2_cs2dz.py'
model = dict(segmentor=dict(backbone=dict(num_layers=[3, 6, 40, 3])))
load_from = 'work_dirs/segformer/segformer_mit-b5_cityscapes/iter_40000.pth'
