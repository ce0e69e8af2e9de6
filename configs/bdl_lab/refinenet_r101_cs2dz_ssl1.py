"""BDL-LAB, second training: from the source-only weights again, with the pseudo labels of the stage before.

How they are made stands in README.md.
"""

_base_ = './refinenet_r101_cs2dz_ssl0.py'
stage = 'work_dirs/bdl_lab/refinenet_r101_cs2dz_ssl0'
model = dict(pseudo_label_weight=1.0)
labels = dict(night_label_dir=f'{stage}/labels', night_labels_of=f'{stage}/iter_50000.pth')
train_dataloader = dict(dataset=dict(target=labels))
