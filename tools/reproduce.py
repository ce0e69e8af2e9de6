"""Reproduce the paper's experiment from the data to the tables: docs/reproduce.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks is not installed

from benchmarks.reproduction.command import main  # noqa: E402

if __name__ == '__main__':
    sys.exit(main())
