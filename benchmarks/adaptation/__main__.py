"""``python -m benchmarks.adaptation``."""

import functools
import sys

from benchmarks.adaptation.command import main
from mmseg_ccdistill.runtime.command_line import run_main

sys.exit(run_main(functools.partial(main, None)))
