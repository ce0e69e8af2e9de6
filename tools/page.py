"""Open a page in the browser that segments photos with a trained model; see ``--help``."""

import sys

from mmseg_ccdistill.prediction.page_command import main
from mmseg_ccdistill.runtime.command_line import run_main

if __name__ == '__main__':
    sys.exit(run_main(main))
