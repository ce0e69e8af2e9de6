"""Runs that measure the method: `python -m benchmarks.<name>` from the repository root."""
