"""CCDistill on real frames: refinenet_small_mini_day2night.py with other data roots and sizes."""

_base_ = './refinenet_small_mini_day2night.py'
source_root = 'data/camvid/cityscapes/'
target_root = 'data/camvid/dark_zurich/'
frame_size = (480, 360)
test_size = (256, 192)
# The pipelines of mini night: only the sizes change.
source_pipeline = _base_.source_pipeline
source_pipeline[2].scale = frame_size  # RandomResize
target_pipeline = _base_.target_pipeline
target_pipeline[1].scale = frame_size  # RandomResize
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_size  # Resize
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].scale = test_size  # Resize
train_dataloader = dict(
    dataset=dict(
        source=dict(data_root=source_root, pipeline=source_pipeline),
        target=dict(data_root=target_root, pipeline=target_pipeline),
    )
)
val_dataloader = dict(dataset=dict(data_root=target_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
load_from = 'work_dirs/refinenet/refinenet_small_camvid/iter_600.pth'
