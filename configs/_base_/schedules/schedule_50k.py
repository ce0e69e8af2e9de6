"""The adaptation schedule of the paper: SGD at 2.5e-4, polynomial decay of power 0.9 to zero over
50k iterations.

One parameter group for both branches and the projection head, weight decay on every parameter, no
clipping.
"""

optimizer = dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4)
optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer, clip_grad=None)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=50000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=50000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=2)  # tools/train.py --auto-scale-lr
