"""BDL-LAB, first training: DeepLab-v2 R101 on S_n and unlabelled Dark Zurich nights, no pseudo labels yet."""

_base_ = '../adaptsegnet/deeplabv2_r101_cs2dz.py'
model = dict(type='BDLSegmentor', adversarial_form='vanilla', adversarial_weight=0.001)
train_dataloader = dict(dataset=dict(domains=('source_night', 'target_night')))
