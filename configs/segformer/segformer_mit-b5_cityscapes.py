"""Source-only SegFormer on MiT-B5: segformer_mit-b2_cityscapes.py with more layers."""

_base_ = './segformer_mit-b2_cityscapes.py'
weights = 'https://download.openmmlab.com/mmsegmentation/v0.5/pretrain/segformer/mit_b5_20220624-658746d9.pth'
model = dict(backbone=dict(num_layers=[3, 6, 40, 3], init_cfg=dict(checkpoint=weights)))
