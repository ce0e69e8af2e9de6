"""Checkpoint files that run a program when they are unpickled; the program makes a file."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from mmseg_ccdistill.runtime.checkpoint_file import OWN_KEY


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


class Toucher:
    """Does its work when its state is set."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __setstate__(self, state: dict) -> None:
        Path(state['marker']).touch()


def _save(path: Path, payload: Any, key: str = 'more') -> None:
    """A checkpoint that says it is of this package, so that no torch refuses it at the door."""
    content = {'state_dict': {'weight': torch.ones(2)}, 'meta': {OWN_KEY: '0.1.0', 'iter': 2}}
    torch.save({**content, 'message_hub': {}, key: payload}, path)


def system(path: Path, marker: Path) -> None:
    _save(path, Call(os.system, f'touch {marker}'))


def builtin(path: Path, marker: Path) -> None:
    """In the weights, through a function of the language itself."""
    call = Call(eval, f'open({str(marker)!r}, "w").close() or []')
    _save(path, {'weight': call}, key='state_dict')


def process(path: Path, marker: Path) -> None:
    _save(path, Call(subprocess.check_call, ['touch', str(marker)]))


def set_state(path: Path, marker: Path) -> None:
    _save(path, Toucher(marker))


def object_array(path: Path, marker: Path) -> None:
    """Inside a numpy array, whose own parts mmengine's checkpoints do hold."""
    _save(path, np.array([Call(os.system, f'touch {marker}')], dtype=object))


def log_buffer(path: Path, marker: Path) -> None:
    """Inside the one class of mmengine that checkpoints hold."""
    buffer = HistoryBuffer()
    buffer.max_length = Call(os.system, f'touch {marker}')  # type: ignore[assignment]
    _save(path, {'log_scalars': {'train/loss': buffer}}, key='message_hub')


def old_opcode(path: Path, marker: Path) -> None:
    """INST of protocol 0, in an archive of torch.save."""
    _save(path, None)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    text = f"(S'touch {marker}'\nios\nsystem\nX\x17\0\0\0{OWN_KEY}1."
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            archive.writestr(name, text.encode() if name.endswith('data.pkl') else content)


def bare_pickle(path: Path, marker: Path) -> None:
    """As torch before 1.6 wrote them: no archive."""
    path.write_bytes(pickle.dumps(Call(os.system, f'touch {marker}'), protocol=2))


def tar(path: Path, marker: Path) -> None:
    """As torch before 0.1.10 wrote them."""
    content = pickle.dumps(Call(os.system, f'touch {marker}'), protocol=2)
    with tarfile.open(path, 'w') as archive:
        for name in ('sys_info', 'storages', 'tensors', 'pickle'):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def script(path: Path, marker: Path) -> None:
    """A TorchScript archive, which makes its file when torch.jit.load sets its state."""

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.held = torch.zeros(1)

        @torch.jit.export
        def __getstate__(self):  # noqa: ANN204 - TorchScript reads the annotations
            return torch.ones(1), self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[torch.Tensor, bool]) -> None:
            self.held = torch.from_file('MARKER', shared=True, size=1)
            self.training = state[1]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.held

    torch.jit.save(torch.jit.script(Module()), str(path))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for name, content in parts.items():
            archive.writestr(name, content.replace(b'MARKER', str(marker).encode()))


PAYLOADS = {
    function.__name__: function
    for function in (
        system, builtin, process, set_state, object_array, log_buffer, old_opcode, bare_pickle, tar,
        script,
    )
}  # fmt: skip
