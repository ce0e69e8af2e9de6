"""The rows of the paper's Table 3, trained and measured over seeds: ``python -m benchmarks.adaptation``."""
