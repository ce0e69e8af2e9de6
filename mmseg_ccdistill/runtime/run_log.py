"""Warnings in the log of a run, on the console and in its file."""

import logging

from mmengine.logging import print_log


def warn(message: str) -> None:
    """Write a warning to the log of the present run; without a run, to the console."""
    print_log(message, logger='current', level=logging.WARNING)
