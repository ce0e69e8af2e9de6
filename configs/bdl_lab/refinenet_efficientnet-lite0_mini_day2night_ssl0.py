"""BDL-LAB on mini night from a pretrained network, first training: with EfficientNet-Lite0."""

_base_ = '../adaptsegnet/refinenet_efficientnet-lite0_mini_day2night.py'
model = dict(type='BDLSegmentor', adversarial_form='vanilla', adversarial_weight=0.001)
train_dataloader = dict(dataset=dict(domains=('source_night', 'target_night')))
