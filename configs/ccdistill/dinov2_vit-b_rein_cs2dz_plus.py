"""Beyond the paper, on DINOv2 ViT-B: dinov2_vit-s_rein_cs2dz_plus.py with a larger transformer."""

_base_ = './dinov2_vit-s_rein_cs2dz_plus.py'
model = dict(
    segmentor=dict(
        backbone=dict(embed_dims=768, num_heads=12),
        decode_head=dict(in_channels=768),
    ),
    projection_head=dict(in_channels=192),
)
load_from = 'work_dirs/dinov2/dinov2_vit-b_rein_cityscapes/iter_40000.pth'
