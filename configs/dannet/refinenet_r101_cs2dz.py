"""DANNet on RefineNet-R101, Cityscapes to Dark Zurich: losses, rates and sizes of the released code."""

_base_ = [
    '../_base_/models/refinenet_r101.py',
    '../_base_/models/dannet.py',
    '../_base_/datasets/cityscapes2darkzurich.py',
    '../_base_/schedules/schedule_50k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    _base_.dannet,
    data_preprocessor=dict(_base_.refinenet.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=dict(_base_.refinenet, **_base_.relit),
    target_size=_base_.target_crop_size,
)
train_dataloader = dict(dataset=dict(domains=_base_.dannet_domains))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(night=_base_.optimizer, discriminators=_base_.dannet_discriminators),
)
load_from = 'work_dirs/refinenet/refinenet_r101_cityscapes/iter_40000.pth'
