"""Oracle of the day teacher: the true labels of T_d, static classes, in place of the predictions of M_d."""

custom_imports = dict(
    imports=['mmseg_ccdistill', 'benchmarks.adaptation.oracle_labels'], allow_failed_imports=False
)
model = dict(type='DayLabelOracle')
train_dataloader = dict(dataset=dict(target=dict(type='LabelledPairs')))
