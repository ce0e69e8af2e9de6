"""Source-only DeepLab-v2 as UDAclustering's released code trains it first: see deeplabv2_released.py."""

_base_ = ['./deeplabv2_r101_cityscapes.py', '../_base_/models/deeplabv2_released.py']
crop_size = None  # whole images
model = dict(
    _base_.released_segmentor,
    backbone=_base_.released_backbone_with_trained_norm,
    decode_head=dict(num_active=2),
)
model['decode_head']['loss_decode'] = dict(class_weight=None)
flip = dict(type='RandomFlip', prob=0.5)
train_pipeline = [*_base_.released_source_pipeline, flip, dict(type='PackSegInputs')]
train_dataloader = dict(batch_size=1, dataset=dict(dataset=dict(pipeline=train_pipeline)))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.released_rates_beside_the_stem))
param_scheduler = [dict(_base_.released_decay[0], end=200000)]
train_cfg = dict(max_iters=80000)
auto_scale_lr = dict(base_batch_size=1)
