"""AdaptSegNet, single level with least squares: DeepLab-v2 R101, Cityscapes to Dark Zurich by night.

The recipe of the method's own optimizers (SGD for the network, Adam for the discriminator) on the crops, batch and
schedule of the CCDistill configs, so that the two can be compared.
"""

_base_ = [
    '../_base_/models/deeplabv2_r101.py',
    '../_base_/models/adaptsegnet.py',
    '../_base_/datasets/cityscapes2darkzurich.py',
    '../_base_/schedules/schedule_50k.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.deeplabv2
segmentor.decode_head.loss_decode.class_weight = None  # AdaptSegNet does not weigh classes
model = dict(
    _base_.adaptsegnet,
    data_preprocessor=dict(segmentor.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=segmentor,
)
train_dataloader = dict(dataset=dict(domains=('source_day', 'target_night')))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(
        night=dict(
            type='SGD',
            lr=2.5e-4,
            momentum=0.9,
            weight_decay=5e-4,
            paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))),
        ),
        discriminators=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99)),
    ),
)
load_from = 'work_dirs/deeplabv2/deeplabv2_r101_cityscapes/iter_40000.pth'
