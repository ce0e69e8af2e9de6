"""Source-only on two real cities, continued at the rate of the adaptation."""

_base_ = ['./refinenet_efficientnet-lite0_mini_continued.py', '../_base_/datasets/two_cities.py']
test_size = _base_.two_cities_test_size
test_pipeline = _base_.two_cities_test_pipeline
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].scale = test_size  # Resize
train_dataloader = dict(_delete_=True, **_base_.two_cities_source_only_dataloader)
val_dataloader = dict(_delete_=True, **_base_.two_cities_source_val_dataloader)
test_dataloader = dict(_delete_=True, **_base_.two_cities_test_dataloader)
load_from = 'work_dirs/refinenet/refinenet_efficientnet-lite0_two-cities/iter_4000.pth'
