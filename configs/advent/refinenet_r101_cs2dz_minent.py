"""ADVENT, MinEnt on RefineNet-R101: deeplabv2_r101_cs2dz_minent.py with another segmentor, one rate for all of it."""

_base_ = './refinenet_r101_cs2dz.py'
model = dict(
    _delete_=True,
    type='MinEntSegmentor',
    data_preprocessor=_base_.model.data_preprocessor,
    segmentor=_base_.model.segmentor,
    entropy_weight=0.001,
    auxiliary_weight=0.0002,
)
optim_wrapper = dict(optimizer=dict(_delete_=True, night=_base_.optim_wrapper.optimizer.night))
