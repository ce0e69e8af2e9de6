"""BDL-LAB, first training: RefineNet R101 on S_n and unlabelled Dark Zurich nights, no pseudo labels yet."""

_base_ = [
    '../_base_/models/refinenet_r101.py',
    '../_base_/models/adaptsegnet.py',
    '../_base_/datasets/cityscapes2darkzurich.py',
    '../_base_/schedules/schedule_50k.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.refinenet
segmentor.decode_head.loss_decode.class_weight = None  # BDL does not weigh classes
bdl_lab = dict(type='BDLSegmentor', adversarial_form='vanilla', adversarial_weight=0.001)
preprocessor = dict(segmentor.data_preprocessor, type='CrossDomainPreprocessor')
adapted = dict(data_preprocessor=preprocessor, segmentor=segmentor)
model = dict(_base_.adaptsegnet, **adapted) | bdl_lab
train_dataloader = dict(dataset=dict(domains=('source_night', 'target_night')))
adam = dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    constructor='JointOptimWrapperConstructor',
    optimizer=dict(night=_base_.optimizer, discriminators=adam),
)
load_from = 'work_dirs/refinenet/refinenet_r101_cityscapes/iter_40000.pth'
