"""What a stage leaves in its folder: of which settings and which code the run is, and how long it took."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.repository import code_state, list_once
from mmseg_ccdistill.runtime.atomic_file import write_atomically

#: Written when a run starts, and when it has ended well: the stage is done while it is there.
STARTED, DONE = 'started.json', 'stage.json'

#: Output of the newest process.
LOG = 'train.log'


def read_record(path: Path) -> dict[str, Any]:
    """A JSON record; empty if there is none, it cannot be read or it is no mapping."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def start_run(folder: Path, fingerprint: str, has_begun: bool) -> bool:
    """Make a folder ready for a run and note its settings and code in ``started.json``.

    A run of other settings gets a new folder: what lay there is kept under the name with the time. Checkpoints of the
    same settings go if the run begins anew. The done-file is taken away, so a run that fails now is never taken for a
    finished one.

    Args:
        folder: Folder of the stage.
        fingerprint: What the run depends on.
        has_begun: Whether a run in the folder can go on, if its settings are the same.

    Returns:
        Whether it goes on.
    """
    before = read_record(folder / STARTED)
    is_same = before.get('fingerprint') == fingerprint
    if folder.exists() and not is_same:
        prefix = f'{folder.name}.{time.strftime("%Y%m%d_%H%M%S")}.'
        folder.rename(tempfile.mkdtemp(prefix=prefix, dir=folder.parent))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DONE).unlink(missing_ok=True)
    is_resumed = has_begun and is_same
    for checkpoint in folder.glob('iter_*.pth') if not is_resumed else ():
        checkpoint.unlink()  # of the same run, which begins anew
    code, seconds = [code_state()], 0.0
    if is_resumed:
        code = list_once([*before.get('code', []), *code])
        seconds = before.get('seconds', 0.0) + _seconds_of_process(folder)
    record = {'fingerprint': fingerprint, 'code': code, 'seconds': seconds}
    write_atomically(folder / STARTED, json.dumps(record).encode())
    return is_resumed


def _seconds_of_process(folder: Path) -> float:
    """From the start of the last process to its last output."""
    try:
        ends = [(folder / name).stat().st_mtime for name in (STARTED, LOG)]
    except OSError:
        return 0.0
    return max(ends[1] - ends[0], 0.0)


def finish_run(folder: Path, seconds: float) -> None:
    """Write the done-file: the run has ended well, and all its processes took so long.

    Args:
        folder: Folder of the stage.
        seconds: Duration of the last process.
    """
    started = read_record(folder / STARTED)
    record = {'fingerprint': started['fingerprint'], 'seconds': started['seconds'] + seconds}
    write_atomically(folder / DONE, json.dumps(record).encode())
