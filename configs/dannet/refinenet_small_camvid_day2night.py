"""DANNet on real frames: refinenet_small_mini_day2night.py with other data roots and sizes."""

_base_ = ['./refinenet_small_mini_day2night.py', '../_base_/datasets/camvid_frames.py']
test_size = _base_.camvid_test_size
test_pipeline = _base_.camvid_test_pipeline
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].scale = test_size  # Resize
train_dataloader = dict(dataset=dict(source=_base_.camvid_source, target=_base_.camvid_target))
val_dataloader = dict(dataset=_base_.camvid_test)
test_dataloader = val_dataloader
load_from = 'work_dirs/refinenet/refinenet_small_camvid/iter_600.pth'
