"""Oracle of the style: S_n are the scenes of S rendered at night, with S's labels, in place of the LAB transfer."""

train_dataloader = dict(
    dataset=dict(
        source=dict(
            type='TranslatedCityscapesDataset',
            data_prefix=dict(night_path='leftImg8bit_night/train'),
        ),
        pipeline=[dict(type='PackCrossDomainInputs')],
    )
)
