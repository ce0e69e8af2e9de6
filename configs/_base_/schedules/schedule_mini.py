"""A short run that fits a CPU. AdamW, because the small RefineNet starts from random weights, and
its decoder has no normalisation: SGD at 0.02 ended in NaN, and smaller rates are too slow for
a few hundred iterations.
"""

optimizer = dict(type='AdamW', lr=1e-3, weight_decay=0.01)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer, clip_grad=None)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=600, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=600, val_interval=600)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=2)  # tools/train.py --auto-scale-lr
