"""What the released codes of AdaptSegNet, ADVENT and UDAclustering train with, as changes of a DeepLab-v2 config.

- The network of the Caffe weights: a stage strides in its 1x1 convolution, BGR images from 0 to 255 minus a mean.
- ImageNet weights of that kind, detectron2's. The released codes load those of ImageNet and COCO, though the papers say
  ImageNet; the authors saw the same end from both. There is no source-only stage before.
- A rate of the backbone three times as large: their lists of parameters hold most of the backbone's three times, and
  the torch of that time stepped each entry. Weight decay and momentum then acted three times, too; here the rate alone.
- Whole images, both made smaller without a change of their shape, one of each domain in a batch, no flip. The released
  codes have 1024x512 for Cityscapes, and on Dark Zurich 960x540 keeps 16:9.
- Plain SGD, where the papers say Nesterov, and a rate that would end at 250,000 iterations; training stops before.

The variables have names of their own, because a config lists this file beside its parent.
"""

released_preprocessor = dict(
    mean=[104.00698793, 116.66876762, 122.67891434],
    std=[1.0, 1.0, 1.0],
    bgr_to_rgb=False,
    size=None,
    size_divisor=1,
)
released_segmentor = dict(
    data_preprocessor=released_preprocessor,
    backbone=dict(
        style='caffe',
        init_cfg=dict(type='Pretrained', checkpoint='open-mmlab://detectron2/resnet101_caffe'),
    ),
)
released_rates = dict(
    backbone=dict(lr_mult=3.0), decode_head=dict(lr_mult=10.0), auxiliary_head=dict(lr_mult=10.0)
)
# UDAclustering alone trains the scales and shifts of normalisation, but for the stem's.
released_backbone_with_trained_norm = dict(
    released_segmentor['backbone'], norm_cfg=dict(requires_grad=True)
)
released_rates_beside_the_stem = {**released_rates, 'backbone.bn1': dict(lr_mult=0.0)}
released_source_size, released_target_size = (1024, 512), (960, 540)
released_source_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=released_source_size, keep_ratio=False, interpolation='bicubic'),
]
released_target_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=released_target_size, keep_ratio=False, interpolation='bicubic'),
]
released_training = dict(
    batch_size=1,
    dataset=dict(
        source=dict(pipeline=released_source_pipeline),
        target=dict(pipeline=released_target_pipeline),
    ),
)
released_decay = [dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=250000, by_epoch=False)]
