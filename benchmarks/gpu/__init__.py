"""What the method costs on a GPU, and whether it works there: ``python -m benchmarks.gpu``."""
