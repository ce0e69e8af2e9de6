"""Beyond the paper, on DINOv3 ViT-S: dinov2_vit-s_rein_cs2dz_plus.py with another frozen ViT.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = './dinov2_vit-s_rein_cs2dz_plus.py'
model = dict(
    segmentor=dict(
        backbone=dict(_delete_=True, type='ReinDINOv3', model_name='vit_small_patch16_dinov3')
    )
)
load_from = 'work_dirs/dinov3/dinov3_vit-s_rein_cityscapes/iter_40000.pth'
