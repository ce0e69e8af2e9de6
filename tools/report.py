"""Write a report of a training, or compare several, as a single web page."""

import sys

from mmseg_ccdistill.reports.report_command import main
from mmseg_ccdistill.runtime.command_line import run_main

if __name__ == '__main__':
    sys.exit(run_main(main))
