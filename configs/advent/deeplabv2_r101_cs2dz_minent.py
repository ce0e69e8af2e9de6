"""ADVENT, MinEnt: a small entropy of the predictions at night, at two levels. Weights as published."""

_base_ = './deeplabv2_r101_cs2dz.py'
model = dict(
    _delete_=True,
    type='MinEntSegmentor',
    data_preprocessor=_base_.model.data_preprocessor,
    segmentor=_base_.model.segmentor,
    entropy_weight=0.001,
    auxiliary_weight=0.0002,
)
optim_wrapper = dict(optimizer=dict(_delete_=True, night=_base_.optim_wrapper.optimizer.night))
