"""CCDistill on mini night: the method of refinenet_r101_cs2dz.py with a small RefineNet, for a CPU."""

_base_ = [
    '../_base_/models/refinenet_small.py',
    '../_base_/datasets/mini_night.py',
    '../_base_/schedules/schedule_mini.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='CCDistillSegmentor',
    data_preprocessor=dict(
        _base_.refinenet_small.data_preprocessor, type='CrossDomainPreprocessor'
    ),
    segmentor=_base_.refinenet_small,
    feature='backbone.-1',
    projection_head=dict(type='ProjectionHead', in_channels=256),
    loss_cdc=dict(type='CDCLoss', loss_weight=2.0),  # lambda_1
    loss_cds=dict(type='CDSLoss', loss_weight=1.0),  # lambda_2
    loss_pseudo=dict(type='StaticLoss'),
)
load_from = 'work_dirs/refinenet/refinenet_small_mini/iter_600.pth'
