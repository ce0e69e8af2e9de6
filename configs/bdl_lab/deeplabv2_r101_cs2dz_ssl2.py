"""BDL-LAB, third training: from the source-only weights again, with the pseudo labels of the stage before.

How they are made stands in README.md.
"""

_base_ = './deeplabv2_r101_cs2dz_ssl0.py'
stage = 'work_dirs/bdl_lab/deeplabv2_r101_cs2dz_ssl1'
model = dict(pseudo_label_weight=1.0)
labels = dict(night_label_dir=f'{stage}/labels', night_labels_of=f'{stage}/iter_50000.pth')
train_dataloader = dict(dataset=dict(target=labels))
