"""AdaptSegNet, single level with least squares: the method alone; a config adds the segmentor.

The variable has a name of its own, because a config lists this file beside that of its segmentor,
and two bases must not share a key.
"""

adaptsegnet = dict(
    type='AdaptSegNetSegmentor',
    discriminator=dict(type='OutputDiscriminator', in_channels=19),
    adversarial_form='least_squares',
    adversarial_weight=0.01,
)
