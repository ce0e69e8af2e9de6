"""AdaptSegNet, single level with least squares: the method alone; a config adds the segmentor.

The variables have names of their own, because a config lists this file beside that of its segmentor,
and two bases must not share a key.
"""

adaptsegnet = dict(
    type='AdaptSegNetSegmentor',
    discriminator=dict(type='OutputDiscriminator', in_channels=19),
    adversarial_form='least_squares',
    adversarial_weight=0.01,
)
adaptsegnet_domains = ('source_day', 'target_night')
adaptsegnet_discriminators = dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))
# The paper's two levels, as changes of the above; the auxiliary classifier is one on the third stage.
adaptsegnet_auxiliary_head = dict(
    type='DeepLabV2Head',
    in_channels=1024,
    in_index=2,
    num_classes=19,
    loss_decode=dict(type='WeightedCrossEntropyLoss', loss_weight=0.1),
)
adaptsegnet_levels = dict(
    adversarial_form='vanilla', adversarial_weight=0.001, auxiliary_weight=0.0002
)
