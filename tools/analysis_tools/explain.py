"""Say what a config does: model, data, schedule, and what differs from the paper's config.

    python tools/analysis_tools/explain.py CONFIG [--against CONFIG]

No data and no weights are read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mmseg_ccdistill.engine.explanation import explain, paper_config
from mmseg_ccdistill.runtime.command_line import load_config, run_main
from mmseg_ccdistill.runtime.config_errors import named_mistakes
from mmseg_ccdistill.runtime.override_syntax import add_override_argument


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config file, or the name of a shipped config')
    parser.add_argument(
        '--against',
        metavar='CONFIG',
        help="config to compare with (default: the method's own on the network and data of Table 1)",
    )
    add_override_argument(parser)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Explain."""
    args = parse_args(argv)
    config = load_config(args.config, args.cfg_options)
    name = args.against or paper_config(config)
    print(f'{config.filename}\n')
    with named_mistakes(config):
        print(explain(config, None if name is None else (name, load_config(name))))


if __name__ == '__main__':
    sys.exit(run_main(main))
