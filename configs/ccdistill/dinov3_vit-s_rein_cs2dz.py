"""CCDistill on DINOv3 ViT-S with Rein's adapters: dinov2_vit-s_rein_cs2dz.py with another frozen ViT."""

_base_ = './dinov2_vit-s_rein_cs2dz.py'
model = dict(
    segmentor=dict(
        backbone=dict(_delete_=True, type='ReinDINOv3', model_name='vit_small_patch16_dinov3')
    )
)
load_from = 'work_dirs/dinov3/dinov3_vit-s_rein_cityscapes/iter_40000.pth'
