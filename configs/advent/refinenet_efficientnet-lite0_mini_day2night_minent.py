"""ADVENT, MinEnt on mini night from a pretrained network: deeplabv2_r101_cs2dz_minent.py with EfficientNet-Lite0."""

_base_ = './refinenet_efficientnet-lite0_mini_day2night.py'
model = dict(
    _delete_=True,
    type='MinEntSegmentor',
    data_preprocessor=_base_.model.data_preprocessor,
    segmentor=_base_.model.segmentor,
    entropy_weight=0.001,
    auxiliary_weight=0.0002,
)
optim_wrapper = dict(optimizer=dict(_delete_=True, night=_base_.optim_wrapper.optimizer.night))
