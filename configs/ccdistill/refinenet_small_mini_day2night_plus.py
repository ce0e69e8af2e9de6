"""Beyond the paper: matched distillation and self-training on mini night. See docs/beyond.md."""

_base_ = ['./refinenet_small_mini_day2night_matched.py', '../_base_/models/self_training.py']
model = dict(self_training=_base_.self_training)
train_dataloader = dict(
    sampler=dict(rare_classes=dict(temperature=0.1, min_pixels=190)),
    dataset=dict(
        pipeline=[
            dict(type='LABTransfer'),
            dict(type='NightLights'),
            dict(type='DrawMixing', block=16),
            dict(type='PackCrossDomainInputs'),
        ],
    ),
)
