"""Self-training of M_d and M_n, the recipe of the ``*_plus.py`` configs. Beyond the paper: see docs/beyond.md."""

self_training = dict(
    type='SelfTraining',
    learners=('night', 'day'),
    lag=0.03,
    start=0.15,
    ramp=0.15,
    fusion='mgcda',
    parallax=1,
    paste='half',
    weight=dict(type='PseudoLabelWeight', form='class_quantile'),
)
