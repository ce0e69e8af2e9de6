"""Datasets and transforms of the day-night recipe."""

from . import transforms
from .acdc_night import ACDCNightDataset
from .bdd100k_night import BDD100KNightDataset, read_bdd100k_night_list
from .cross_domain import CrossDomainDataset
from .dark_zurich import DarkZurichPairDataset, read_pair_list
from .dark_zurich_night import DarkZurichNightDataset
from .draw_sampler import Draw, DrawSampler
from .file_check import DatasetCheckError, check_dataset

__all__ = [
    'ACDCNightDataset',
    'BDD100KNightDataset',
    'check_dataset',
    'CrossDomainDataset',
    'DarkZurichNightDataset',
    'DarkZurichPairDataset',
    'DatasetCheckError',
    'Draw',
    'DrawSampler',
    'read_bdd100k_night_list',
    'read_pair_list',
    'transforms',
]
