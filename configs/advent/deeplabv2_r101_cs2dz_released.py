"""ADVENT, AdvEnt as its released code trains: see deeplabv2_released.py. All four branches are summed."""

_base_ = ['./deeplabv2_r101_cs2dz.py', '../_base_/models/deeplabv2_released.py']
crop_size = target_crop_size = None  # whole images
model = dict(data_preprocessor=_base_.released_preprocessor, segmentor=_base_.released_segmentor)
train_dataloader = _base_.released_training
rates = dict(custom_keys=_base_.released_rates)
optim_wrapper = dict(optimizer=dict(night=dict(paramwise_cfg=rates)))
param_scheduler = _base_.released_decay
train_cfg = dict(max_iters=120000)
load_from = None
auto_scale_lr = dict(base_batch_size=1)
