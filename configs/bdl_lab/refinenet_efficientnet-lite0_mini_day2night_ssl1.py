"""BDL-LAB, second training: from the source-only weights again, on the pseudo labels of the first one."""

_base_ = './refinenet_efficientnet-lite0_mini_day2night_ssl0.py'
work = 'work_dirs/bdl_lab/refinenet_efficientnet-lite0_mini_day2night_ssl1/'
model = dict(pseudo_label_weight=1.0)
labels = dict(night_label_dir=work + 'labels0', night_labels_of=work + 'ssl0/iter_1000.pth')
train_dataloader = dict(dataset=dict(target=labels))
source, stage = _base_.load_from, 'configs/bdl_lab/refinenet_efficientnet-lite0_mini_day2night_ssl'
curriculum = [  # tools/curriculum.py
    dict(name='ssl0', train=stage + '0.py', start=source),
    dict(name='labels0', label=None, checkpoint='ssl0', threshold='median'),
    dict(name='ssl1', train=stage + '1.py', start=source, labels=dict(target='labels0')),
]
