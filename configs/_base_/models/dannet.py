"""DANNet as released: the method alone; a config adds the segmentor, with ``relit`` over it.

The variables have names of their own, because a config lists this file beside that of its segmentor,
and two bases must not share a key.
"""

relit = dict(type='RelitEncoderDecoder', light_net=dict(type='LightNet'))
dannet = dict(
    type='DANNetSegmentor',
    discriminator=dict(type='DayNightDiscriminator', in_channels=19),
    loss_light=dict(type='LightLoss', target_weight=0.01, source_weight=1.0),
    loss_pseudo=dict(
        type='StaticLoss', blend=(0.8, 0.2, 0.4), reweight='logits', neighborhood=False
    ),
    adversarial_weight=0.01,
)
# Beside a small segmentor: at full width these three would cost far more than all the rest.
relit_small = dict(type='RelitEncoderDecoder', light_net=dict(type='LightNet', base_channels=16))
discriminator_small = dict(type='DayNightDiscriminator', in_channels=19, base_channels=16)
dannet_small = dict(dannet, discriminator=discriminator_small)
dannet_domains = ('source_day', 'target_day', 'target_night')
dannet_discriminators = dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))
