"""AdaptSegNet on mini night: the method of deeplabv2_r101_cs2dz.py with a small RefineNet, for a CPU."""

_base_ = [
    '../_base_/models/refinenet_small.py',
    '../_base_/models/adaptsegnet.py',
    '../_base_/datasets/mini_night.py',
    '../_base_/schedules/schedule_mini.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.refinenet_small
segmentor.decode_head.loss_decode.class_weight = None  # AdaptSegNet does not weigh classes
model = dict(
    _base_.adaptsegnet,
    data_preprocessor=dict(segmentor.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=segmentor,
)
train_dataloader = dict(dataset=dict(domains=_base_.adaptsegnet_domains))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(night=_base_.optimizer, discriminators=_base_.adaptsegnet_discriminators),
)
load_from = 'work_dirs/refinenet/refinenet_small_mini/iter_600.pth'
