"""A RefineNet that trains on a CPU (3.47 M parameters): ResNet-18 with half the channels at output stride 16, and
a narrow decoder.

The variable has a name of its own, because a CCDistill config lists this file beside its parent,
and two bases must not share a key.
"""

refinenet_small = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(128, 128),
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        base_channels=32,
        stem_channels=32,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        norm_cfg=dict(type='BN', requires_grad=True),
        norm_eval=False,
        style='pytorch',
        contract_dilation=False,
    ),
    decode_head=dict(
        type='RefineNetHead',
        in_channels=[32, 64, 128, 256],
        in_index=[0, 1, 2, 3],
        channels=32,
        block_channels=(64, 32, 32, 32),
        num_input_rcus=1,
        num_output_rcus=1,
        num_crp_stages=2,
        dropout_ratio=0.1,
        num_classes=19,
        loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
