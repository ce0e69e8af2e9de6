"""Data preprocessors of CCDistill."""

from .cross_domain_preprocessor import CrossDomainPreprocessor

__all__ = ['CrossDomainPreprocessor']
