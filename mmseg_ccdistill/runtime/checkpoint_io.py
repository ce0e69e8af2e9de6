"""How mmengine reads and writes checkpoint files once this package is imported.

Two entries in mmengine's own tables: the loader of local files and web addresses, which everything
that loads through mmengine uses (``load_from``, ``resume``, ``Pretrained`` weights, ``init_model``,
the inferencer, MMSegmentation's tools), and a file backend whose writes are atomic.
"""

from __future__ import annotations

import os
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.dist import barrier, get_dist_info
from mmengine.fileio import LocalBackend, register_backend
from mmengine.runner.checkpoint import CheckpointLoader

from . import atomic_file
from .atomic_file import write_atomically
from .checkpoint_file import CheckpointFileError, load_checkpoint_file, verify_checkpoint

#: Name of the backend in mmengine's table.
ATOMIC_BACKEND = 'atomic'


class AtomicBackend(LocalBackend):
    """mmengine's backend of local files; a file is written whole and checked, or not at all."""

    def put(self, obj: bytes | memoryview, filepath: str | Path) -> None:
        """Write a checkpoint.

        Raises:
            OSError: If it could not be written; the old file lies where it lay.
        """
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(filepath, bytes(obj), verify_checkpoint)

    def remove(self, filepath: str | Path) -> None:
        """Delete a file."""
        atomic_file.fault_point('deleting')
        super().remove(filepath)
        atomic_file.fault_point('deleted')


register_backend(ATOMIC_BACKEND, AtomicBackend, force=True)


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Any = None) -> Any:
    """Load a local checkpoint without executing code in it, in place of mmengine's loader.

    Raises:
        CheckpointFileError: If the file is missing, damaged, or not safe to read.
    """
    return load_checkpoint_file(filename, map_location)


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_http(filename: str, map_location: Any = None, model_dir: str | None = None) -> Any:
    """Load a checkpoint from the web without executing code in it, in place of mmengine's loader.

    The first process downloads into torch's cache, the others wait. Where the name ends in
    ``-<digits of its sha256>``, as those of the model zoos do, the download is checked.

    Args:
        filename: Address.
        map_location: As of ``torch.load``.
        model_dir: Folder to download to. Defaults to torch's cache.

    Raises:
        CheckpointFileError: If the file cannot be downloaded, is damaged or not safe to read, or its sha256 is not
            the one in its name.
    """
    folder = Path(model_dir or os.path.join(torch.hub.get_dir(), 'checkpoints'))
    path = folder / os.path.basename(urlparse(filename).path)
    rank, world_size = get_dist_info()
    if rank == 0:
        _download(filename, path)
    if world_size > 1:
        barrier()
        _download(filename, path)  # of other nodes, which have a cache of their own
    digits = torch.hub.HASH_REGEX.search(path.name)
    return load_checkpoint_file(path, map_location, origin_known=digits is not None)


def _download(address: str, path: Path) -> None:
    """Download a file unless it is there; it appears under its name when it is whole."""
    if path.is_file():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    digits = torch.hub.HASH_REGEX.search(path.name)
    try:
        torch.hub.download_url_to_file(
            address, str(path), digits.group(1) if digits else None, progress=os.isatty(0)
        )
    except (OSError, HTTPException, RuntimeError) as error:  # of urllib; of torch on a wrong sha256
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointFileError(
            f'the checkpoint {address!r} cannot be downloaded ({reason}): expected an address that answers with the '
            'file; correct it, or download the file by other means and name that'
        ) from error
