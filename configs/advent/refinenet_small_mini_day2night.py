"""ADVENT, AdvEnt on mini night: the method of deeplabv2_r101_cs2dz.py with a small RefineNet, for a CPU."""

_base_ = '../adaptsegnet/refinenet_small_mini_day2night.py'
auxiliary_head = dict(
    type='DeepLabV2Head',
    in_channels=128,
    in_index=2,
    num_classes=19,
    loss_decode=dict(type='WeightedCrossEntropyLoss', loss_weight=0.1),
)
model = dict(
    type='AdvEntSegmentor',
    segmentor=dict(auxiliary_head=auxiliary_head),
    adversarial_form='vanilla',
    adversarial_weight=0.001,
    auxiliary_weight=0.0002,
)
