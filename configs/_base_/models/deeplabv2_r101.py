"""DeepLab-v2 on ResNet-101 at output stride 8 (43.90 M parameters): the other baseline of Table 1.

The variable has a name of its own, because a CCDistill config lists this file beside its parent,
and two bases must not share a key.
"""

deeplabv2 = dict(
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
        type='DeepLabV2ResNet',
        depth=101,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        norm_cfg=dict(type='BN', requires_grad=False),  # the affine parameters stay ImageNet's
        norm_eval=False,
        zero_init_residual=False,  # without ImageNet weights the frozen ones would stay zero
        style='pytorch',  # that of the ImageNet weights; released DeepLab-v2 weights need 'caffe'
        contract_dilation=False,
    ),
    decode_head=dict(
        type='DeepLabV2Head',
        in_channels=2048,
        in_index=3,
        num_classes=19,
        loss_decode=dict(type='WeightedCrossEntropyLoss', class_weight='balanced'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
