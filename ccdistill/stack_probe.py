"""What an import of the installed stack says, found out in a process of its own: it may fail, print or crash."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import Any

#: The line that holds the answer begins with this; the stack may print others.
_MARK = 'ccdistill-probe:'


def probe_stack(python: str = sys.executable, seconds: float = 300) -> dict[str, Any]:
    """Import the package and torch in another process.

    Args:
        python: The interpreter.
        seconds: Time that the process may take.

    Returns:
        ``error`` (None, or why ``mmseg_ccdistill`` cannot be imported), ``torch`` (its version, or None), ``cuda`` (the
        version that torch was built for, or None), ``gpus`` (name and bytes of each) and ``compiled`` (whether mmcv
        has compiled operators).
    """
    failed: dict[str, Any] = dict(error=None, torch=None, cuda=None, gpus=[], compiled=False)
    try:
        done = subprocess.run(
            [python, '-m', 'ccdistill.stack_probe'],
            capture_output=True, text=True, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {**failed, 'error': f'the import of the package took more than {seconds:.0f} s'}
    for line in done.stdout.splitlines():
        if line.startswith(_MARK):
            return {**failed, **json.loads(line.removeprefix(_MARK))}
    last = (done.stderr.strip().splitlines() or ['nothing was printed'])[-1]
    how = f'signal {-done.returncode}' if done.returncode < 0 else f'code {done.returncode}'
    return {**failed, 'error': f'the import of the package ended the process with {how} ({last})'}


def _facts() -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        import mmseg_ccdistill  # noqa: F401
    except Exception as error:
        found['error'] = ' '.join(str(error).split()) or type(error).__name__
    try:
        import torch
    except Exception:
        return found
    found |= dict(torch=torch.__version__, cuda=torch.version.cuda)
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        found['gpus'] = [(gpu.name, gpu.total_memory) for gpu in gpus]
    try:
        found['compiled'] = importlib.util.find_spec('mmcv._ext') is not None
    except ImportError:
        found['compiled'] = False
    return found


if __name__ == '__main__':
    print(_MARK + json.dumps(_facts()))
