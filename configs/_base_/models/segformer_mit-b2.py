"""SegFormer on MiT-B2 (24.73 M parameters), the decoder as wide as MMSegmentation's: 256 channels
(the paper's B2 to B5 have 768).

The variable has a name of its own, because a CCDistill config lists this file beside its parent,
and two bases must not share a key.
"""

segformer = dict(
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
        type='MixVisionTransformer',
        embed_dims=64,
        num_layers=[3, 4, 6, 3],
        num_heads=[1, 2, 5, 8],
        drop_path_rate=0.1,
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=256,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=dict(type='BN', requires_grad=True),
        align_corners=False,
        loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
