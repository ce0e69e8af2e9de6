"""Datasets and transforms of the day-night recipe."""

from . import transforms
from .acdc_night import ACDCNightDataset
from .bdd100k_night import BDD100KNightDataset, read_bdd100k_night_list
from .class_pixels import class_pixels
from .cross_domain import CrossDomainDataset
from .dark_zurich import DarkZurichNightDataset, DarkZurichPairDataset
from .day_night_pairs import DayNightPairDataset
from .draw import Draw
from .draw_sampler import DrawSampler
from .drawn import DrawnDataset
from .file_check import DatasetCheckError, check_dataset
from .mixed import MixedDataset
from .pair_list import read_pair_list
from .pseudo_labelled import PseudoLabelledDataset
from .translated_source import TranslatedCityscapesDataset, TranslatedDataset
from .unreadable import BadSampleError

__all__ = [
    'ACDCNightDataset',
    'BadSampleError',
    'BDD100KNightDataset',
    'check_dataset',
    'class_pixels',
    'CrossDomainDataset',
    'DarkZurichNightDataset',
    'DarkZurichPairDataset',
    'DatasetCheckError',
    'DayNightPairDataset',
    'Draw',
    'DrawnDataset',
    'DrawSampler',
    'MixedDataset',
    'PseudoLabelledDataset',
    'read_bdd100k_night_list',
    'read_pair_list',
    'transforms',
    'TranslatedCityscapesDataset',
    'TranslatedDataset',
]
