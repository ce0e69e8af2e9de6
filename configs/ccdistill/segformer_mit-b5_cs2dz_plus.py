"""Beyond the paper: self-training on MiT-B5 by the published recipe of DAFormer, Refign and MIC. See docs/beyond.md.

Not trained by us on Cityscapes and Dark Zurich.
"""

_base_ = ['./segformer_mit-b5_cs2dz.py', '../_base_/models/published_self_training.py']
model = dict(  # SegFormer's decoder has no map for matched distillation, so there is no term between domains
    loss_cdc=None,
    loss_cds=None,
    projection_head=None,
    loss_pseudo=None,  # both networks learn from teachers from the first iteration on
    self_training=_base_.published_self_training,
    # no class weights: rare classes are sampled
    segmentor=dict(decode_head=dict(loss_decode=dict(class_weight=None))),
)
source_pipeline = [  # DAFormer's Cityscapes: half size; crops with at most three quarters of one class
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomResize', scale=(1024, 512), ratio_range=(1.0, 1.0), keep_ratio=True),
    dict(type='RandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
]
train_dataloader = dict(
    sampler=dict(rare_classes=dict(temperature=0.01, min_pixels=3000, crop_ratio=0.5, tries=11)),
    dataset=dict(
        source=dict(pipeline=source_pipeline),
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
