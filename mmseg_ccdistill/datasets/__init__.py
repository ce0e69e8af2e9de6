"""Datasets and transforms of the day-night recipe."""

from . import transforms
from .cross_domain import CrossDomainDataset
from .dark_zurich import DarkZurichPairDataset, read_pair_list
from .draw_sampler import Draw, DrawSampler
from .file_check import DatasetCheckError, check_dataset

__all__ = [
    'check_dataset',
    'CrossDomainDataset',
    'DarkZurichPairDataset',
    'DatasetCheckError',
    'Draw',
    'DrawSampler',
    'read_pair_list',
    'transforms',
]
