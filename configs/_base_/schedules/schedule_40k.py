"""The source-only schedule: SGD at 5e-4 for the backbone and 5e-3 for the heads, polynomial decay
over 40k iterations.

For a batch of 8. The paper starts from a published Cityscapes checkpoint and does not say how that
was trained; these rates are ours.
"""

optimizer = dict(type='SGD', lr=5e-4, momentum=0.9, weight_decay=5e-4)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=optimizer,
    clip_grad=None,
    # Matched as part of the parameter's name, so a branch prefix (night.decode_head...) does not
    # hide it.
    paramwise_cfg=dict(
        custom_keys=dict(decode_head=dict(lr_mult=10.0), auxiliary_head=dict(lr_mult=10.0))
    ),
)
param_scheduler = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=40000, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=40000, val_interval=4000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
auto_scale_lr = dict(enable=False, base_batch_size=8)  # tools/train.py --auto-scale-lr
