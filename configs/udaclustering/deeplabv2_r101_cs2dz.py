"""UDAclustering on DeepLab-v2 R101, Cityscapes to Dark Zurich by night: published losses, the schedule of CCDistill."""

_base_ = [
    '../_base_/models/deeplabv2_r101.py',
    '../_base_/models/udaclustering.py',
    '../_base_/datasets/cityscapes2darkzurich.py',
    '../_base_/schedules/schedule_50k.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.deeplabv2
segmentor.decode_head.loss_decode.class_weight = None  # UDAclustering does not weigh classes
model = dict(
    _base_.udaclustering,
    data_preprocessor=dict(segmentor.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=segmentor,
)
train_dataloader = dict(dataset=dict(domains=_base_.udaclustering_domains))
# The classifier learns ten times as fast, as published.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))
load_from = 'work_dirs/deeplabv2/deeplabv2_r101_cityscapes/iter_40000.pth'
