"""Segmentors that adapt one or several networks from labelled day to unlabelled night."""

from .adaptation_segmentor import AdaptationSegmentor
from .adaptsegnet_segmentor import AdaptSegNetSegmentor
from .ccdistill_segmentor import CCDistillSegmentor
from .cross_domain_segmentor import CrossDomainSegmentor
from .dannet_segmentor import DANNetSegmentor
from .ema_teacher import EMATeacher
from .relit_encoder_decoder import RelitEncoderDecoder

__all__ = [
    'AdaptSegNetSegmentor',
    'AdaptationSegmentor',
    'CCDistillSegmentor',
    'CrossDomainSegmentor',
    'DANNetSegmentor',
    'EMATeacher',
    'RelitEncoderDecoder',
]
