"""DANNet on mini night from a pretrained network: the method of refinenet_r101_cs2dz.py with EfficientNet-Lite0."""

_base_ = [
    '../_base_/models/refinenet_efficientnet-lite0.py',
    '../_base_/models/dannet.py',
    '../_base_/datasets/mini_night.py',
    '../_base_/schedules/finetune_mini.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.refinenet_lite0
model = dict(
    _base_.dannet_small,
    data_preprocessor=dict(segmentor.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=dict(segmentor, **_base_.relit_small),
    target_size=_base_.target_crop_size,
)
train_dataloader = dict(dataset=dict(domains=_base_.dannet_domains))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(night=_base_.optimizer, discriminators=_base_.dannet_discriminators),
)
load_from = 'work_dirs/refinenet/refinenet_efficientnet-lite0_mini/iter_4000.pth'
