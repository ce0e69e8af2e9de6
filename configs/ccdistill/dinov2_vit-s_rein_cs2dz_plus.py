"""Beyond the paper: matched distillation and self-training on DINOv2 ViT-S, as in refinenet_r101_cs2dz_plus.py.

Teachers and students have one frozen ViT in common. Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = ['./dinov2_vit-s_rein_cs2dz.py', '../_base_/models/self_training.py']
model = dict(
    distill_into='target_night',
    feature='decode_head',
    projection_head=dict(in_channels=96, out_channels=64, embedding_norm='whiten'),
    loss_cdc=dict(js_tau=0.1, js_positions=2.5, parallax=1),
    self_training=_base_.self_training,
)
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
