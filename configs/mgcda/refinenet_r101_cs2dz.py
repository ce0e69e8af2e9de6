"""MGCDA: GCMA with the prediction for the day image brought into the view of the twilight image first."""

_base_ = '../gcma/refinenet_r101_cs2dz.py'
work = 'work_dirs/mgcda/refinenet_r101_cs2dz/'
load_from = work + 'day/iter_15000.pth'
parts = _base_.parts
parts[1].dataset.made_by = load_from
parts[1].dataset.data_prefix.seg_map_path = work + 'twilight_labels'
train_dataloader = dict(dataset=dict(parts=parts))
curriculum = _base_.curriculum  # tools/curriculum.py
curriculum[2].refine.align = 'geometry'
curriculum[3].train = 'configs/mgcda/refinenet_r101_cs2dz.py'
