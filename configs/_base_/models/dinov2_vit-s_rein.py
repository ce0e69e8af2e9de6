"""DINOv2 ViT-S, frozen, with Rein's adapters (0.39 M) and a head per pixel (0.45 M); patches of 16.

The variable has a name of its own, because a CCDistill config lists this file beside its parent,
and two bases must not share a key.
"""

dinov2 = dict(
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
        type='ReinVisionTransformer',
        embed_dims=384,
        num_layers=12,
        num_heads=6,
        img_size=512,
        patch_size=16,
    ),
    decode_head=dict(
        type='PerPixelHead',
        in_channels=384,
        num_classes=19,
        align_corners=False,
        loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
