"""Segmentors that adapt a day model and a night model side by side."""

from .ccdistill_segmentor import CCDistillSegmentor
from .cross_domain_segmentor import CrossDomainSegmentor

__all__ = ['CCDistillSegmentor', 'CrossDomainSegmentor']
