"""A stage of a curriculum: SGD at 5e-5 for the decoder and a tenth of it for the backbone, constant, 15k
iterations.

The rates are those of GCMA's released scripts, which take 10 epochs of about 3000 images with a batch of 1; here a
batch of 2 sees as many images.
"""

optimizer = dict(type='SGD', lr=5e-5, momentum=0.9, weight_decay=5e-4)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=optimizer,
    clip_grad=None,
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
param_scheduler = [dict(type='ConstantLR', factor=1.0, begin=0, end=15000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=15000, val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=2)  # tools/train.py --auto-scale-lr
