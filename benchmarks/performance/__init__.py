"""The ratios of the package beside their goals: ``python -m benchmarks.performance``."""
