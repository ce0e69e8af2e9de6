"""A doctor for data sets: is what lies on disk what was published?"""

from .examination import examine
from .findings import Finding, Report, show_report, write_json

__all__ = ['examine', 'Finding', 'Report', 'show_report', 'write_json']
