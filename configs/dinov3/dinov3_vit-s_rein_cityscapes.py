"""Source-only DINOv3 ViT-S with Rein's adapters on Cityscapes: dinov2_vit-s_rein_cityscapes.py with another ViT."""

_base_ = '../dinov2/dinov2_vit-s_rein_cityscapes.py'
# timm's name of the weights, or the path of model.safetensors: README.md says how
weights = 'timm://vit_small_patch16_dinov3.lvd1689m'
model = dict(
    backbone=dict(
        _delete_=True,
        type='ReinDINOv3',
        model_name='vit_small_patch16_dinov3',
        init_cfg=dict(type='Pretrained', checkpoint=weights),
    )
)
