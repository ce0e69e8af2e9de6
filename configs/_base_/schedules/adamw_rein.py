"""AdamW as Rein (Wei et al., CVPR 2024) trains adapters on crops of 512: 1e-4, weight decay 0.05, none
on tokens, scale and norm layers. The schedule is the polynomial one of power 0.9, without warm-up,
that schedule_40k.py and schedule_50k.py have. Rein takes 6e-5 on crops of 1024.

Variables with names of their own: a config lists this file beside a complete schedule and says
which of its parts to replace.
"""

rein_adamw = dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05)
# Keys are matched as part of the parameter's name: night.backbone.rein.tokens_a, ...
rein_paramwise = {
    'custom_keys': {
        'norm': dict(decay_mult=0.0),
        'rein.tokens': dict(decay_mult=0.0),
        'rein.scale': dict(decay_mult=0.0),
    }
}
