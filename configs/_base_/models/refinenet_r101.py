"""RefineNet on ResNet-101: the segmentor of the paper (118.05 M parameters).

The variable has a name of its own, because a CCDistill config lists such a file beside its parent,
and two bases must not share a key.
"""

refinenet = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(512, 512),
    ),
    backbone=dict(
        type='ResNet',  # torchvision's: 7x7 stem, stride in the 3x3, no dilation
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 2),
        dilations=(1, 1, 1, 1),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        contract_dilation=False,
    ),
    decode_head=dict(
        type='RefineNetHead',
        in_channels=[256, 512, 1024, 2048],
        in_index=[0, 1, 2, 3],
        channels=256,
        num_classes=19,
        loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
