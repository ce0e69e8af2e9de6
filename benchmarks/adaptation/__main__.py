"""``python -m benchmarks.adaptation``."""

import functools
import sys

from benchmarks.adaptation.command import main
from mmseg_ccdistill.engine.launch import run_main

sys.exit(run_main(functools.partial(main, None)))
