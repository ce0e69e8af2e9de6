"""Open a page in the browser that segments photos with a trained model.

    MODEL   training checkpoint, exported .pth, or .safetensors with its .json

The page answers on this machine alone unless --host says otherwise; it has no password. No photo is kept.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from ..engine.inference import add_model_arguments
from ..errors import UserInputError
from ..runtime.command_line import run_main, trust_pickle
from .page import PhotoReader, build_page
from .predict_command import check_config_options, given_config
from .segmenter import Segmenter
from .trained_model import load_trained

_LOCAL = '127.0.0.1'
#: Megabytes or megapixels.
_LARGEST_LIMIT = 1_000_000
_STYLE = """
.legend {list-style: none; padding: 0; margin: 0; columns: 10em}
.legend li {margin: 0 0 .3em; white-space: nowrap}
.swatch {display: inline-block; width: 1em; height: 1em; margin-right: .5em; vertical-align: -.1em}
.swatch {border: 1px solid #8888}
"""


def parse_args(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv: Arguments; None takes those of the process.
        prog: Name of the command in its help.

    Returns:
        The parsed arguments.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('model', metavar='MODEL', help='file of the trained model')
    parser.add_argument(
        '--host',
        default=_LOCAL,
        help=f'address to answer on; 0.0.0.0 lets the whole network in (default: {_LOCAL})',
    )
    parser.add_argument('--port', type=int, default=7860, help='port to answer on (default: 7860)')
    parser.add_argument(
        '--max-megabytes', type=float, default=20, help='largest file (default: 20)'
    )
    parser.add_argument(
        '--max-megapixels', type=float, default=25, help='largest photo (default: 25)'
    )
    parser.add_argument('--device', default='cpu', help='cpu, cuda:0, … (default: cpu)')
    parser.add_argument(
        '--config', help='config of the model, for weights whose file does not hold it'
    )
    add_model_arguments(parser)
    return parser.parse_args(argv)


def check_installed() -> None:
    """Check that Gradio is there.

    Raises:
        UserInputError: If it is not.
    """
    if importlib.util.find_spec('gradio') is None:
        raise UserInputError(
            "the page needs the package gradio, which is not installed: `pip install 'mmseg-ccdistill[page]'`"
        )


def check_address(host: str, port: int) -> None:
    """Check that a page can answer on an address.

    Raises:
        UserInputError: If the port is in use or not one, or the address is not of this machine.
    """
    if not 1 <= port <= 65535:
        raise UserInputError(f'--port is {port}: expected 1 to 65535; correct it')
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except PermissionError as error:
        raise UserInputError(
            f'--port {port} is for the system alone: expected one from 1024 on; choose another'
        ) from error
    except OSError as error:
        if isinstance(error, socket.gaierror) or 'assign' in str(error.strerror):
            raise UserInputError(
                f'--host {host} is no address of this machine: expected {_LOCAL}, 0.0.0.0, or one of its own; '
                'correct it'
            ) from error
        raise UserInputError(
            f'port {port} of {host} is in use by another program: expected a free one; choose another with --port'
        ) from error


def check_limits(args: argparse.Namespace) -> None:
    """Check the largest sizes.

    Raises:
        UserInputError: If one is not positive, or so large that it is no limit.
    """
    for name in ('max_megabytes', 'max_megapixels'):
        value = getattr(args, name)
        if not 0 < value <= _LARGEST_LIMIT:
            raise UserInputError(
                f'--{name.replace("_", "-")} is {value:g}: expected a number above 0, at most {_LARGEST_LIMIT}; '
                'correct it'
            )


def serve(segmenter: Segmenter, args: argparse.Namespace, folder: str, wait: bool = True) -> Any:
    """Start the page.

    Args:
        segmenter: The model.
        args: Of the command line.
        folder: Everything that the page writes; ``GRADIO_TEMP_DIR`` of this process.
        wait: Whether to stay until Ctrl-C.

    Returns:
        The page.
    """
    os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED='False')
    os.environ.setdefault('HF_HUB_OFFLINE', '1')
    import gradio  # optional; reads the variables

    title = f'Night segmentation: {Path(args.model).name}'
    page = build_page(PhotoReader(segmenter, args.max_megapixels), title, folder)
    page.queue(max_size=16)
    fonts = ('system-ui', 'sans-serif')  # the defaults come from another server
    page.launch(
        server_name=args.host,
        server_port=args.port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        max_file_size=round(args.max_megabytes * 2**20),
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        enable_monitoring=False,
        theme=gradio.themes.Default(font=fonts, font_mono=('monospace',)),
        css=_STYLE,
    )
    print(f'http://{args.host}:{args.port} (Ctrl-C ends it)', flush=True)
    if wait:
        page.block_thread()
    return page


def main(argv: Sequence[str] | None = None) -> None:
    """Serve.

    Args:
        argv: Arguments; None takes those of the process.
    """
    args = parse_args(argv)
    check_installed()
    check_config_options(args)
    check_limits(args)
    check_address(args.host, args.port)
    warnings.filterwarnings('ignore', category=UserWarning, module='mmseg')  # on training
    trust_pickle(args.trust_pickle)
    signal.signal(signal.SIGTERM, _end)  # so that the folder is removed
    segmenter = Segmenter(load_trained(args.model, given_config(args), device=args.device))
    with tempfile.TemporaryDirectory(prefix='ccdistill-page-') as folder:
        serve(segmenter, args, folder)


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == '__main__':
    sys.exit(run_main(main))
