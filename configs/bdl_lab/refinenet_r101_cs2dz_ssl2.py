"""BDL-LAB, third training: from the source-only weights again, on the pseudo labels of the second one."""

_base_ = './refinenet_r101_cs2dz_ssl1.py'
work = 'work_dirs/bdl_lab/refinenet_r101_cs2dz_ssl2/'
labels = dict(night_label_dir=work + 'labels1', night_labels_of=work + 'ssl1/iter_50000.pth')
train_dataloader = dict(dataset=dict(target=labels))
last = dict(train=_base_.stage + '2.py', start=_base_.source, labels=dict(target='labels1'))
curriculum = [  # tools/curriculum.py
    *_base_.curriculum,
    dict(name='labels1', label=None, checkpoint='ssl1', threshold='median'),
    dict(last, name='ssl2'),
]
