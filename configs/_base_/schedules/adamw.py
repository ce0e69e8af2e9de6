"""AdamW as SegFormer (Xie et al., NeurIPS 2021) and Swin (Liu et al., ICCV 2021) fine-tune it: 6e-5,
linear warm-up over 1500 iterations, then linear decay to zero.

Variables with names of their own: a config lists this file beside a complete schedule and says
which of its parts to replace.
"""

adamw = dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01)
adamw_warmup = dict(type='LinearLR', start_factor=1e-6, begin=0, end=1500, by_epoch=False)
adamw_40k = [
    adamw_warmup,
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=1500, end=40000, by_epoch=False),
]
adamw_50k = [
    adamw_warmup,
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=1500, end=50000, by_epoch=False),
]
# DAFormer's and Refign's rate: the line to zero begins at 0, and the warm-up multiplies it. MMEngine's lines reach
# their end one iteration early, hence the odd ends.
adamw_40k_published = [
    dict(type='LinearLR', start_factor=1e-6, begin=0, end=1501, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=40001, by_epoch=False),
]
# Keys are matched as part of the parameter's name, so a branch prefix (night.backbone...) does not
# hide them. 'decode_head', not 'head': that would also take in projection_head.
segformer_paramwise = dict(
    custom_keys=dict(norm=dict(decay_mult=0.0), decode_head=dict(lr_mult=10.0))
)
swin_paramwise = dict(
    custom_keys=dict(
        norm=dict(decay_mult=0.0),
        relative_position_bias_table=dict(decay_mult=0.0),
        absolute_pos_embed=dict(decay_mult=0.0),
    )
)
