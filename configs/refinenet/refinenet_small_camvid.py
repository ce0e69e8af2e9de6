"""Source-only on real frames (CamVid by day): refinenet_small_mini.py with other data roots and sizes."""

_base_ = './refinenet_small_mini.py'
source_root = 'data/camvid/cityscapes/'
target_root = 'data/camvid/dark_zurich/'
frame_size = (480, 360)
val_size = test_size = (256, 192)
# The pipelines of mini night: only the sizes change.
source_pipeline = _base_.source_pipeline
source_pipeline[2].scale = frame_size  # RandomResize
val_pipeline = _base_.val_pipeline
val_pipeline[1].scale = val_size  # Resize
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_size  # Resize
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].scale = test_size  # Resize
train_dataloader = dict(
    dataset=dict(
        dataset=dict(data_root=source_root, pipeline=[*source_pipeline, dict(type='PackSegInputs')])
    )
)
val_dataloader = dict(dataset=dict(data_root=source_root, pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(data_root=target_root, pipeline=test_pipeline))
