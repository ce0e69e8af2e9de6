"""UDAclustering on RefineNet-R101: deeplabv2_r101_cs2dz.py with another segmentor, one rate for all of it."""

_base_ = [
    '../_base_/models/refinenet_r101.py',
    '../_base_/models/udaclustering.py',
    '../_base_/datasets/cityscapes2darkzurich.py',
    '../_base_/schedules/schedule_50k.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.refinenet
segmentor.decode_head.loss_decode.class_weight = None  # UDAclustering does not weigh classes
model = dict(
    _base_.udaclustering,
    data_preprocessor=dict(segmentor.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=segmentor,
)
train_dataloader = dict(dataset=dict(domains=_base_.udaclustering_domains))
load_from = 'work_dirs/refinenet/refinenet_r101_cityscapes/iter_40000.pth'
