"""UDAclustering on mini night from a pretrained network: features at stride 16, as for CCDistill."""

_base_ = [
    '../_base_/models/refinenet_efficientnet-lite0.py',
    '../_base_/models/udaclustering.py',
    '../_base_/datasets/mini_night.py',
    '../_base_/schedules/finetune_mini.py',
    '../_base_/default_runtime.py',
]
segmentor = _base_.refinenet_lite0
segmentor.decode_head.loss_decode.class_weight = None  # UDAclustering does not weigh classes
model = dict(
    _base_.udaclustering,
    data_preprocessor=dict(segmentor.data_preprocessor, type='CrossDomainPreprocessor'),
    segmentor=segmentor,
    feature='backbone.-2',
)
train_dataloader = dict(dataset=dict(domains=_base_.udaclustering_domains))
load_from = 'work_dirs/refinenet/refinenet_efficientnet-lite0_mini/iter_4000.pth'
