"""The subcommands of ``ccdistill`` and the programs behind them: add a line here to add one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from types import ModuleType
from typing import NamedTuple

from .shipped_files import shipped_root


class Subcommand(NamedTuple):
    """A program that a subcommand starts.

    Attributes:
        program: Its file below the root of what ships.
        title: Its line in ``ccdistill --help``.
    """

    program: str
    title: str


#: In the order of ``ccdistill --help``. One whose file is not there is not offered.
SUBCOMMANDS = {
    'demo': Subcommand(
        'benchmarks/demo.py', 'Render streets, train, adapt to the night, draw a panel.'
    ),
    'prepare': Subcommand('tools/dataset_converters/prepare.py', 'Unpack and lay out data sets.'),
    'check': Subcommand('tools/dataset_converters/check.py', 'Check data sets on disk.'),
    'cache': Subcommand(
        'tools/dataset_converters/cache.py', 'Keep decoded images, to read them fast.'
    ),
    'mini-night': Subcommand('tools/dataset_converters/mini_night.py', 'Render mini night.'),
    'own-data': Subcommand(
        'tools/own_data.py', 'Write configs for images and classes of your own.'
    ),
    'browse': Subcommand('tools/analysis_tools/browse_domains.py', 'Draw what a network sees.'),
    'explain': Subcommand('tools/analysis_tools/explain.py', 'Say what a config does.'),
    'train': Subcommand('tools/train.py', 'Train a source-only stage or an adaptation.'),
    'test': Subcommand('tools/test.py', "Test a checkpoint on the config's test set."),
    'test-night': Subcommand('tools/test_night.py', 'Test on several night sets at once.'),
    'predict': Subcommand('tools/predict.py', 'Segment images, folders, videos.'),
    'page': Subcommand('tools/page.py', 'Segment your photos on a page in the browser.'),
    'report': Subcommand('tools/report.py', 'Write the report of a run, or compare runs.'),
    'compare': Subcommand('tools/analysis_tools/compare.py', 'Draw models side by side.'),
    'correlations': Subcommand('tools/analysis_tools/correlations.py', 'Draw correlation maps.'),
    'pseudo-label': Subcommand('tools/pseudo_label.py', 'Label images with a trained model.'),
    'curriculum': Subcommand('tools/curriculum.py', 'Label night images with the help of day.'),
    'export': Subcommand('tools/model_converters/night2mmseg.py', 'Export the night segmentor.'),
    'submit': Subcommand('tools/submit.py', "Pack or check a test server's zip."),
    'reproduce': Subcommand('tools/reproduce.py', "Run the paper's experiment from data to table."),
}


def offered() -> dict[str, Subcommand]:
    """The subcommands whose programs are there."""
    root = shipped_root()
    return {name: row for name, row in SUBCOMMANDS.items() if (root / row.program).is_file()}


def start(name: str, words: Sequence[str]) -> None:
    """Run the program of a subcommand in this process, as ``python FILE`` would.

    Args:
        name: The subcommand.
        words: The command line behind it.

    Raises:
        SystemExit: With the program's exit code.
    """
    root = shipped_root()
    file = str(root / SUBCOMMANDS[name].program)
    sys.argv = [f'ccdistill {name}', *words]  # what the program's usage says
    sys.path.append(str(root))  # for programs of benchmarks
    module = ModuleType('__main__')
    module.__file__ = file
    sys.modules['__main__'] = module  # a data worker that is spawned imports it by its file
    SourceFileLoader('__main__', file).exec_module(module)
