"""Source-only DINOv2 ViT-B: dinov2_vit-s_rein_cityscapes.py with a larger transformer."""

_base_ = './dinov2_vit-s_rein_cityscapes.py'
weights = 'pretrained/dinov2_vitb14_p16_512.pth'
model = dict(
    backbone=dict(embed_dims=768, num_heads=12, init_cfg=dict(checkpoint=weights)),
    decode_head=dict(in_channels=768),
)
