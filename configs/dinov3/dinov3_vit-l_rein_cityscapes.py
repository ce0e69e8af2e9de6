"""Source-only DINOv3 ViT-L: dinov3_vit-s_rein_cityscapes.py with a larger transformer."""

_base_ = './dinov3_vit-s_rein_cityscapes.py'
weights = 'timm://vit_large_patch16_dinov3.lvd1689m'
model = dict(
    backbone=dict(model_name='vit_large_patch16_dinov3', init_cfg=dict(checkpoint=weights)),
    decode_head=dict(in_channels=1024),
)
