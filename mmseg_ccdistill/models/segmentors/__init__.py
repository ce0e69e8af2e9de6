"""Segmentors that adapt one or several networks from labelled day to unlabelled night."""

from .adaptation_segmentor import AdaptationSegmentor
from .ccdistill_segmentor import CCDistillSegmentor
from .cross_domain_segmentor import CrossDomainSegmentor

__all__ = ['AdaptationSegmentor', 'CCDistillSegmentor', 'CrossDomainSegmentor']
