"""Beyond the paper, on DINOv2 ViT-L: dinov2_vit-s_rein_cs2dz_plus.py with a larger transformer."""

_base_ = './dinov2_vit-s_rein_cs2dz_plus.py'
model = dict(
    segmentor=dict(
        backbone=dict(embed_dims=1024, num_layers=24, num_heads=16),
        decode_head=dict(in_channels=1024),
    ),
    projection_head=dict(in_channels=256),
)
load_from = 'work_dirs/dinov2/dinov2_vit-l_rein_cityscapes/iter_40000.pth'
