"""CCDistill of the paper: RefineNet-R101, Cityscapes to Dark Zurich, 50k iterations of 2 samples per domain."""

_base_ = [
    '../_base_/models/refinenet_r101.py',
    '../_base_/datasets/cityscapes2darkzurich.py',
    '../_base_/schedules/schedule_50k.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='CCDistillSegmentor',
    data_preprocessor=dict(_base_.refinenet.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=_base_.refinenet,
    feature='backbone.-1',
    projection_head=dict(type='ProjectionHead', in_channels=2048),
    loss_cdc=dict(type='CDCLoss', loss_weight=2.0),  # lambda_1
    loss_cds=dict(type='CDSLoss', loss_weight=1.0),  # lambda_2
    loss_pseudo=dict(type='StaticLoss'),
)
load_from = 'work_dirs/refinenet/refinenet_r101_cityscapes/iter_40000.pth'
