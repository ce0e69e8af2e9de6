"""Segmentors that adapt one or several networks from labelled day to unlabelled night."""

from .adaptation_segmentor import AdaptationSegmentor
from .adaptsegnet_segmentor import AdaptSegNetSegmentor
from .advent_segmentor import AdvEntSegmentor
from .bdl_segmentor import BDLSegmentor
from .ccdistill_segmentor import CCDistillSegmentor
from .cross_domain_segmentor import CrossDomainSegmentor
from .dannet_segmentor import DANNetSegmentor
from .ema_teacher import EMATeacher
from .minent_segmentor import MinEntSegmentor
from .output_space_segmentor import OutputSpaceSegmentor
from .partwise_encoder_decoder import PartwiseEncoderDecoder
from .relit_encoder_decoder import RelitEncoderDecoder
from .udaclustering_segmentor import UDAClusteringSegmentor

__all__ = [
    'AdaptSegNetSegmentor',
    'AdaptationSegmentor',
    'AdvEntSegmentor',
    'BDLSegmentor',
    'CCDistillSegmentor',
    'CrossDomainSegmentor',
    'DANNetSegmentor',
    'EMATeacher',
    'MinEntSegmentor',
    'OutputSpaceSegmentor',
    'PartwiseEncoderDecoder',
    'RelitEncoderDecoder',
    'UDAClusteringSegmentor',
]
