"""Self-training of M_d and M_n with the numbers that DAFormer, Refign and MIC publish for pretrained networks.

EMA rate 0.999, weight by the share of pixels from 0.968 on, from the first iteration, pastes with another look, one
masked pass. ``self_training.py`` is our own recipe, chosen on small networks. Beyond the paper: see docs/beyond.md.
"""

published_self_training = dict(
    type='SelfTraining',
    learners=('night', 'day'),
    lag=999,
    start=0,
    ramp=0,
    fusion='refign',
    parallax=1,
    paste='half',
    weight=dict(type='PseudoLabelWeight', form='ratio', threshold=0.968),
    augment=True,
    masked_ratio=0.7,
)
