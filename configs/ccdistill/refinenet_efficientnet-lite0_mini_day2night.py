"""CCDistill on mini night from a pretrained network: the method of refinenet_r101_cs2dz.py with EfficientNet-Lite0.

Content is compared at stride 16: crops of 128 have only 4 x 4 positions at stride 32, where the paper's have 16 x 16.
"""

_base_ = [
    '../_base_/models/refinenet_efficientnet-lite0.py',
    '../_base_/datasets/mini_night.py',
    '../_base_/schedules/finetune_mini.py',
    '../_base_/default_runtime.py',
]
model = dict(
    type='CCDistillSegmentor',
    data_preprocessor=dict(
        _base_.refinenet_lite0.data_preprocessor, type='CrossDomainPreprocessor'
    ),
    segmentor=_base_.refinenet_lite0,
    feature='backbone.-2',
    projection_head=dict(type='ProjectionHead', in_channels=112),
    loss_cdc=dict(type='CDCLoss', loss_weight=2.0),  # lambda_1
    loss_cds=dict(type='CDSLoss', loss_weight=1.0),  # lambda_2
    loss_pseudo=dict(type='StaticLoss'),
)
load_from = 'work_dirs/refinenet/refinenet_efficientnet-lite0_mini/iter_4000.pth'
