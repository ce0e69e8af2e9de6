"""AdaptSegNet of two levels as its released code trains: see deeplabv2_released.py.

Two of the four branches are summed. The weights of the losses are the authors' later ones: with torch 0.4 and later
they found the paper's too large.
"""

_base_ = ['./deeplabv2_r101_cs2dz_multi-level.py', '../_base_/models/deeplabv2_released.py']
crop_size = target_crop_size = None  # whole images
two_branches = dict(num_active=2)
model = dict(
    data_preprocessor=_base_.released_preprocessor,
    segmentor=dict(
        _base_.released_segmentor, decode_head=two_branches, auxiliary_head=two_branches
    ),
    adversarial_weight=0.0005,
    auxiliary_weight=0.00005,
)
train_dataloader = _base_.released_training
rates = dict(custom_keys=_base_.released_rates)
optim_wrapper = dict(optimizer=dict(night=dict(paramwise_cfg=rates)))
param_scheduler = _base_.released_decay
train_cfg = dict(max_iters=150000)
load_from = None
auto_scale_lr = dict(base_batch_size=1)
