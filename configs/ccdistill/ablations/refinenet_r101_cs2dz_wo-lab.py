"""Table 3, "w/o LAB-based Trans" (43.5 in the paper): S_n is a copy of S_d, M_n still trains on it."""

_base_ = '../refinenet_r101_cs2dz.py'
train_dataloader = dict(
    dataset=dict(pipeline=[dict(type='CopySourceDay'), dict(type='PackCrossDomainInputs')])
)
