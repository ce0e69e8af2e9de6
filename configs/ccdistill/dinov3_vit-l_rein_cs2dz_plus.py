"""Beyond the paper, on DINOv3 ViT-L: dinov3_vit-s_rein_cs2dz_plus.py with a larger transformer."""

_base_ = './dinov3_vit-s_rein_cs2dz_plus.py'
model = dict(
    segmentor=dict(
        backbone=dict(model_name='vit_large_patch16_dinov3'),
        decode_head=dict(in_channels=1024),
    ),
    projection_head=dict(in_channels=256),
)
load_from = 'work_dirs/dinov3/dinov3_vit-l_rein_cityscapes/iter_40000.pth'
