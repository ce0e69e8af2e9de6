"""Runs that measure the method: `python -m benchmarks.<name>` from the repository root."""

import mmseg_ccdistill  # noqa: F401  checks the stack before a module here imports parts of it
