"""UDAclustering as its released code trains, after deeplabv2_r101_cityscapes_released.py: see deeplabv2_released.py.

Two of the four branches are summed, both domains are flipped; normalisation is trained but for that of the stem. The
released code blurs the images, too; that is not here.
"""

_base_ = ['./deeplabv2_r101_cs2dz.py', '../_base_/models/deeplabv2_released.py']
crop_size = target_crop_size = None  # whole images
model = dict(
    data_preprocessor=_base_.released_preprocessor,
    segmentor=dict(
        _base_.released_segmentor,
        backbone=_base_.released_backbone_with_trained_norm,
        decode_head=dict(num_active=2),
    ),
)
flip = dict(type='RandomFlip', prob=0.5)
source = dict(pipeline=[*_base_.released_source_pipeline, flip])
target = dict(pipeline=[*_base_.released_target_pipeline, flip])
train_dataloader = dict(batch_size=1, dataset=dict(source=source, target=target))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.released_rates_beside_the_stem))
param_scheduler = [dict(_base_.released_decay[0], end=24760)]
train_cfg = dict(max_iters=24750)
load_from = 'work_dirs/deeplabv2/deeplabv2_r101_cityscapes_released/iter_80000.pth'
auto_scale_lr = dict(base_batch_size=1)
