"""BDL-LAB on real frames, first training: refinenet_small_mini_day2night_ssl0.py with other data roots and sizes."""

_base_ = '../adaptsegnet/refinenet_small_camvid_day2night.py'
model = dict(type='BDLSegmentor', adversarial_form='vanilla', adversarial_weight=0.001)
train_dataloader = dict(dataset=dict(domains=('source_night', 'target_night')))
