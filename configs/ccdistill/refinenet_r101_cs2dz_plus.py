"""Beyond the paper: matched distillation and self-training. See docs/beyond.md.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = ['./refinenet_r101_cs2dz_matched.py', '../_base_/models/self_training.py']
model = dict(self_training=_base_.self_training)
train_dataloader = dict(
    sampler=dict(rare_classes=dict(temperature=0.1, min_pixels=3000)),
    dataset=dict(
        pipeline=[
            dict(type='LABTransfer'),
            dict(type='NightLights'),
            dict(type='DrawMixing', block=64),
            dict(type='PackCrossDomainInputs'),
        ],
    ),
)
