"""AdaptSegNet on RefineNet-R101: deeplabv2_r101_cs2dz.py with another segmentor, one rate for all of it."""

_base_ = [
    '../_base_/models/refinenet_r101.py',
    '../_base_/models/adaptsegnet.py',
    '../_base_/datasets/cityscapes2darkzurich.py',
    '../_base_/schedules/schedule_50k.py',
    '../_base_/default_runtime.py',
]
_base_.refinenet.decode_head.loss_decode.class_weight = None  # AdaptSegNet does not weigh classes
model = dict(
    _base_.adaptsegnet,
    data_preprocessor=dict(_base_.refinenet.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=_base_.refinenet,
)
train_dataloader = dict(dataset=dict(domains=_base_.adaptsegnet_domains))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(night=_base_.optimizer, discriminators=_base_.adaptsegnet_discriminators),
)
load_from = 'work_dirs/refinenet/refinenet_r101_cityscapes/iter_40000.pth'
