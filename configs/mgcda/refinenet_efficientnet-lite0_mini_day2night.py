"""MGCDA on mini night from a pretrained network: GCMA with the day prediction brought into the twilight view."""

_base_ = '../gcma/refinenet_efficientnet-lite0_mini_day2night.py'
work = 'work_dirs/mgcda/refinenet_efficientnet-lite0_mini_day2night/'
load_from = work + 'day/iter_1000.pth'
parts = _base_.parts
parts[1].dataset.made_by = load_from
parts[1].dataset.data_prefix.seg_map_path = work + 'twilight_labels'
train_dataloader = dict(dataset=dict(parts=parts))
curriculum = _base_.curriculum  # tools/curriculum.py
curriculum[2].refine.align = 'geometry'
curriculum[3].train = 'configs/mgcda/refinenet_efficientnet-lite0_mini_day2night.py'
