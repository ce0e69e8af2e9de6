"""Evaluation on night sets, and published numbers to compare with."""

from .night_iou_metric import NightIoUMetric
from .prediction_files import PredictionFiles
from .published import load_published, published_rows
from .report import (
    SetReport,
    markdown_report,
    published_table,
    rich_table,
    score_table,
    write_reports,
)

__all__ = [
    'load_published',
    'markdown_report',
    'NightIoUMetric',
    'PredictionFiles',
    'published_rows',
    'published_table',
    'rich_table',
    'score_table',
    'SetReport',
    'write_reports',
]
