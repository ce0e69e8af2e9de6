"""Oracle on mini night from ImageNet weights: source-only trained on the labels of T_n, the upper bound of adaptation.

It starts from the source-only stage, as the adapted rows do. Night labels serve nothing else here.
"""

_base_ = 'refinenet_efficientnet-lite0_mini_continued.py'
target_pipeline = list(_base_.target_pipeline)
target_pipeline.insert(1, dict(type='LoadAnnotations'))
train_dataloader = dict(
    dataset=dict(
        dataset=dict(
            type='DarkZurichDataset',
            data_root=_base_.target_root,
            data_prefix=dict(img_path='rgb_anon/train/night', seg_map_path='gt/train/night'),
            pipeline=[*target_pipeline, dict(type='PackSegInputs')],
        )
    )
)
val_dataloader = _base_.test_dataloader
