"""Beyond the paper: self-training on MiT-B5 by the published recipe of DAFormer, Refign and MIC. See docs/beyond.md.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = ['./segformer_mit-b5_cs2dz.py', '../_base_/models/published_self_training.py']
model = dict(  # SegFormer's decoder has no map for matched distillation, so there is no term between domains
    loss_cdc=None,
    loss_cds=None,
    projection_head=None,
    self_training=_base_.published_self_training,
)
train_dataloader = dict(
    sampler=dict(rare_classes=dict(temperature=0.01, min_pixels=3000, crop_ratio=0.5, tries=10)),
    dataset=dict(
        pipeline=[
            dict(type='LABTransfer'),
            dict(type='NightLights'),
            dict(type='DrawMixing', block=32),
            dict(type='PackCrossDomainInputs'),
        ],
    ),
)
param_scheduler = _base_.adamw_40k_published
train_cfg = dict(max_iters=40000)
