"""The source-only schedule of a pretrained network on mini night: AdamW at 1e-4 for the backbone and 1e-3 for the
decoder, which starts from random weights; polynomial decay over 4000 iterations.

The ratio of ten is that of schedule_40k.py. We have not searched for these rates.
"""

optimizer = dict(type='AdamW', lr=1e-4, weight_decay=0.01)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=optimizer,
    clip_grad=None,
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))),
)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=4000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=4000, val_interval=500)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)  # tools/train.py --auto-scale-lr
