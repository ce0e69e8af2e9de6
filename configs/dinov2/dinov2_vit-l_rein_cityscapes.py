"""Source-only DINOv2 ViT-L: dinov2_vit-s_rein_cityscapes.py with a larger transformer."""

_base_ = './dinov2_vit-s_rein_cityscapes.py'
weights = 'pretrained/dinov2_vitl14_p16_512.pth'
model = dict(
    backbone=dict(embed_dims=1024, num_layers=24, num_heads=16, init_cfg=dict(checkpoint=weights)),
    decode_head=dict(in_channels=1024),
)
