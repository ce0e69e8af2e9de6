"""Oracle of the dynamic classes: the true labels of T_n of these classes alone."""

custom_imports = dict(
    imports=['mmseg_ccdistill', 'benchmarks.adaptation.oracle_labels'], allow_failed_imports=False
)
model = dict(type='DynamicLabelOracle')
train_dataloader = dict(dataset=dict(target=dict(type='LabelledPairs')))
