"""Checkpoint files, read without executing code in them.

``torch.load`` reads pickles, and a pickle may call any function. Here it reads tensors and plain
values alone (``weights_only=True``), never falls back to more, and:

- objects that mmengine's own checkpoints hold beside the weights (the log's ``HistoryBuffer`` with
  its numpy arrays) become inert stand-ins, whose classes do nothing. Any other object is refused;
- ``.safetensors`` files, which cannot hold code, are read where the package is installed;
- before torch 2.10 ``weights_only`` itself could be made to run code (CVE-2025-32434, fixed in 2.6;
  CVE-2026-24747, fixed in 2.10). There only files that say that they are of this package are read,
  after a look at their parts that shuts out both: no TorchScript, no storage larger than its bytes.
  Files from elsewhere must come as ``.safetensors``.

``--trust-pickle`` (environment variable ``MMSEG_CCDISTILL_TRUST_PICKLE=1``) unpickles what is
refused here, and says so.
"""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from ..errors import UserInputError
from .run_log import warn

#: Set to 1, it lets refused files be unpickled; ``--trust-pickle`` sets it.
TRUST_VARIABLE = 'MMSEG_CCDISTILL_TRUST_PICKLE'
#: Key of ``meta`` that marks the checkpoints of this package.
OWN_KEY = 'mmseg_ccdistill_version'

# The first torch whose weights_only has no known hole.
_SAFE_TORCH = (2, 10)
_TORCH = tuple(int(part) for part in torch.__version__.split('.')[:2])

# What mmengine's checkpoints call beside torch's own: parts of the pickled HistoryBuffer.
_STAND_INS = (
    'mmengine.logging.history_buffer.HistoryBuffer',
    'numpy._core.multiarray._reconstruct',
    'numpy._core.multiarray.scalar',
    'numpy.core.multiarray._reconstruct',
    'numpy.core.multiarray.scalar',
    'numpy.ndarray',
    'numpy.dtype',
    '_codecs.encode',
    '__builtin__.getattr',
    'builtins.getattr',
)

# What a broken or foreign file makes the readers raise.
_READ_ERRORS = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    IndexError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)


class CheckpointFileError(UserInputError):
    """A checkpoint is missing, damaged, or holds what is not read; one sentence says which."""


class SkippedObject:
    """Stands in for an object of a checkpoint that is neither tensor nor plain value.

    It takes whatever the pickle gives the object, and does nothing with it.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> SkippedObject:
        """Make a stand-in; the arguments are dropped."""
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        """Forget the state."""


def trusts_pickle() -> bool:
    """Whether the user has asked for files to be unpickled that are not safe to read."""
    return os.environ.get(TRUST_VARIABLE, '') not in ('', '0')


def load_checkpoint_file(
    path: str | os.PathLike[str],
    map_location: Any = 'cpu',
    mmap: bool = False,
    origin_known: bool = False,
) -> Any:
    """Read a checkpoint without executing code in it.

    Args:
        path: File of ``torch.save``, or ``.safetensors``.
        map_location: As of ``torch.load``.
        mmap: Map the tensors instead of reading them: for a look at names, values and shapes. A
            mapped tensor must not outlive the file.
        origin_known: The file's place and hash are written in the config, which is a program
            itself: before torch 2.10 it need not be of this package.

    Returns:
        What was saved; a ``.safetensors`` file as a dict of ``state_dict`` and ``meta``.

    Raises:
        CheckpointFileError: If the file is missing, damaged, or holds more than tensors and plain
            values.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        what = 'is a folder' if path.is_dir() else 'no such file'
        raise CheckpointFileError(f'{path}: {what}; name the .pth file of a training run.')
    if path.suffix == '.safetensors':
        return _load_safetensors(path, map_location)
    try:
        return _load_plain(path, map_location, mmap, origin_known)
    except _READ_ERRORS as error:
        if trusts_pickle():
            return _unpickle(path, map_location, error)
        raise CheckpointFileError(_refusal(path, error)) from error


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A checkpoint of mmengine on the CPU, with stand-ins for all but tensors and plain values.

    The file is mapped, not copied: an optimizer state that nobody reads costs no memory.

    Returns:
        dict: ``state_dict`` (names to tensors, without the ``module.`` of a wrapped model), ``meta``
        (a dict, maybe empty) and whatever else the file holds.

    Raises:
        CheckpointFileError: If the file is missing, unreadable, or holds no state dict.
    """
    checkpoint = load_checkpoint_file(path, mmap=_is_zip_archive(Path(path)))
    weights = checkpoint.get('state_dict') if isinstance(checkpoint, Mapping) else None
    if not isinstance(weights, Mapping) or not weights:
        raise CheckpointFileError(
            f'{path}: expected an mmengine checkpoint with a state_dict; name the .pth file of a '
            'training run.'
        )
    if not all(isinstance(value, Tensor) for value in weights.values()):
        name = next(name for name, value in weights.items() if not isinstance(value, Tensor))
        raise CheckpointFileError(
            f'{path}: expected tensors alone in state_dict, but {name} is none.'
        )
    meta = checkpoint.get('meta')
    return {
        **checkpoint,
        'state_dict': {name.removeprefix('module.'): value for name, value in weights.items()},
        'meta': dict(meta) if isinstance(meta, Mapping) else {},
    }


def verify_checkpoint(path: str | os.PathLike[str]) -> None:
    """Check that every byte of a training checkpoint is as it was saved, and that it can be read.

    ``torch.save`` writes a zip archive with a CRC-32 of each part, which ``torch.load`` does not
    look at. About 0.8 s per GB from memory.

    Raises:
        CheckpointFileError: If it is cut short, altered, or not readable.
    """
    path = Path(path)
    checkpoint = load_checkpoint_file(path, mmap=True)
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except _READ_ERRORS as error:
        raise CheckpointFileError(_refusal(path, error)) from error
    if damaged is not None:
        raise CheckpointFileError(
            f'{path}: its bytes are not those that were saved (checksum of {damaged}); '
            'take an earlier one.'
        )
    if not isinstance(checkpoint, Mapping):
        raise CheckpointFileError(f'{path}: expected a dict, got {type(checkpoint).__name__}.')


def _load_plain(path: Path, map_location: Any, mmap: bool, origin_known: bool) -> Any:
    """``torch.load`` with ``weights_only``; before torch 2.10 behind the checks of the module."""
    is_archive = _is_zip_archive(path)
    if is_archive:
        _check_archive(path)
    elif mmap or _first_byte(path) != pickle.PROTO:  # torch before 1.6 wrote a bare pickle
        raise pickle.UnpicklingError('not an archive of torch.save')
    options = {'mmap': True} if mmap else {}
    if _TORCH >= _SAFE_TORCH:
        stand_ins: list[Any] = [(SkippedObject, name) for name in _STAND_INS]
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(str(path), map_location=map_location, weights_only=True, **options)
    if not origin_known and not (is_archive and _is_ours(path)):
        raise pickle.UnpicklingError(_needs_newer_torch())
    if is_archive:  # a mapped storage ends where its bytes end, whatever the pickle says of it
        options = {'mmap': True}
    checkpoint = torch.load(str(path), map_location=map_location, weights_only=True, **options)
    return _copy_tensors(checkpoint) if is_archive and not mmap else checkpoint


def _is_zip_archive(path: Path) -> bool:
    return path.is_file() and zipfile.is_zipfile(path)


def _first_byte(path: Path) -> bytes:
    with path.open('rb') as file:
        return file.read(1)


def _check_archive(path: Path) -> None:
    """Refuse TorchScript, which is a program: torch before 2.6 hands it to ``torch.jit.load``."""
    with zipfile.ZipFile(path) as archive:
        names = {PurePosixPath(name).name for name in archive.namelist()}
    if 'data.pkl' not in names or 'constants.pkl' in names:
        raise pickle.UnpicklingError('not an archive of torch.save')


def _is_ours(path: Path) -> bool:
    """Whether an archive says that this package wrote it; its pickle is looked at, not executed."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if PurePosixPath(name).name == 'data.pkl']
        opcodes = list(pickletools.genops(archive.read(names[0])))
    return any(code.name == 'BINUNICODE' and value == OWN_KEY for code, value, _ in opcodes)


def _needs_newer_torch() -> str:
    return (
        f'a file that this package did not write, and torch {torch.__version__} '
        'reads such files safely from 2.10 on'
    )


def _copy_tensors(value: Any) -> Any:
    """Containers of the same kind with the tensors copied from the mapped file into memory."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, dict):
        for key, child in value.items():
            value[key] = _copy_tensors(child)
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_copy_tensors(child) for child in value)
    return value


def _load_safetensors(path: Path, map_location: Any) -> dict[str, Any]:
    """The tensors as ``state_dict`` and the header's strings as ``meta`` (JSON values decoded)."""
    try:
        safetensors = import_module('safetensors')  # optional
    except ImportError as error:
        raise CheckpointFileError(
            f'{path}: reading it takes the package safetensors: pip install safetensors.'
        ) from error
    try:
        with safetensors.safe_open(str(path), framework='pt', device='cpu') as file:
            state = {name: file.get_tensor(name) for name in file.keys()}
            meta = {key: _decoded(text) for key, text in (file.metadata() or {}).items()}
    except (safetensors.SafetensorError, *_READ_ERRORS) as error:
        raise CheckpointFileError(_refusal(path, error)) from error
    device = map_location if isinstance(map_location, (str, torch.device)) else 'cpu'
    return {'state_dict': {name: value.to(device) for name, value in state.items()}, 'meta': meta}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _unpickle(path: Path, map_location: Any, refusal: Exception) -> Any:
    """Execute the file, because the user has asked for it."""
    warn(
        f'--trust-pickle: unpickling {path}, which can run any program as you. '
        f'{_refusal(path, refusal)}'
    )
    try:
        return torch.load(str(path), map_location=map_location, weights_only=False)
    except _READ_ERRORS as error:
        raise CheckpointFileError(_refusal(path, error)) from error


def _refusal(path: Path, error: Exception) -> str:
    """One sentence: what was expected, what stood in the way, how to fix it."""
    called = re.search(r'(?:GLOBAL|Unsupported class) ([\w.]+)', str(error))
    reason = f'it calls {called.group(1)}' if called else _first_line(error)
    if called or 'this package did not write' in reason:
        return (
            f'{path}: expected tensors and plain values alone ({reason}); '
            'save the weights as .safetensors, or, if you trust its author with your account, pass '
            f'--trust-pickle (or set {TRUST_VARIABLE}=1).'
        )
    return (
        f'{path}: expected a checkpoint of a training run ({reason}); it may be cut short or of '
        'another program.'
    )


def _first_line(error: Exception) -> str:
    """The first line of an error; torch wraps it in advice."""
    text = str(error).partition('WeightsUnpickler error: ')[2] or str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0].startswith('Weights only load failed'):
        return 'not a file of torch.save'
    return lines[0].rstrip('.')
