"""Beyond the paper, on DINOv3 ViT-B: dinov3_vit-s_rein_cs2dz_plus.py with a larger transformer."""

_base_ = './dinov3_vit-s_rein_cs2dz_plus.py'
model = dict(
    segmentor=dict(
        backbone=dict(model_name='vit_base_patch16_dinov3'),
        decode_head=dict(in_channels=768),
    ),
    projection_head=dict(in_channels=192),
)
load_from = 'work_dirs/dinov3/dinov3_vit-b_rein_cityscapes/iter_40000.pth'
