"""Source-only on mini night, continued at the rate of the adaptation: what more training alone does to a good model."""

_base_ = [
    '../_base_/models/refinenet_efficientnet-lite0.py',
    '../_base_/datasets/mini_night.py',
    '../_base_/schedules/finetune_mini.py',
    '../_base_/default_runtime.py',
]
model = _base_.refinenet_lite0
train_dataloader = dict(_delete_=True, **_base_.mini_night_source_only_dataloader)
val_dataloader = _base_.mini_night_source_val_dataloader
auto_scale_lr = dict(base_batch_size=8)
load_from = 'work_dirs/refinenet/refinenet_efficientnet-lite0_mini/iter_4000.pth'
