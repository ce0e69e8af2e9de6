"""What GCMA and MGCDA do with the day image of a dark one: NumPy and OpenCV, without torch."""

from .alignment_report import How, alignment_sentence, count_alignments
from .depth_map import find_depth, read_depth
from .pair_refinement import PairRefinement
from .refinement import refine_day_night
from .refinement_settings import RefinementSettings, refinement_settings

__all__ = [
    'How',
    'PairRefinement',
    'RefinementSettings',
    'alignment_sentence',
    'count_alignments',
    'find_depth',
    'read_depth',
    'refine_day_night',
    'refinement_settings',
]
