"""The adaptation of a good model on mini night: AdamW at 1e-4 for everything, a tenth of what the decoder was
trained with; polynomial decay over 1000 iterations.

One rate for all parts and no warm-up, as in schedule_50k.py. We have not searched for this rate.
"""

optimizer = dict(type='AdamW', lr=1e-4, weight_decay=0.01)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer, clip_grad=None)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=1000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=1000, val_interval=250)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=2)  # tools/train.py --auto-scale-lr
