"""Self-training of M_n beside L_pseudo, the recipe of the ``*_plus.py`` configs. Ours: see docs/beyond.md."""

self_training = dict(
    type='SelfTraining',
    learners=('night',),
    keep_pseudo=True,
    lag=0.03,
    start=0.15,
    ramp=0.15,
    fusion='mgcda',
    parallax=1,
    paste='half',
    weight=dict(type='PseudoLabelWeight', form='class_quantile'),
)
