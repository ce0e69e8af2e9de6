"""BDL-LAB on mini night, first training: the method of deeplabv2_r101_cs2dz_ssl0.py with a small RefineNet."""

_base_ = '../adaptsegnet/refinenet_small_mini_day2night.py'
model = dict(type='BDLSegmentor', adversarial_form='vanilla', adversarial_weight=0.001)
train_dataloader = dict(dataset=dict(domains=('source_night', 'target_night')))
