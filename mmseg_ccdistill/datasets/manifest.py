"""What is remembered of image files between starts.

The manifest remembers what was read of a file together with the file's modification time and size;
an unchanged file costs one ``os.stat`` at the next start instead of being opened again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets

from ..runtime.run_log import warn
from .image_facts import FileStamp, ImageFacts

MANIFEST_NAME = '.ccdistill_manifest.json'
_VERSION = 3

_Entries = dict[str, list]


def cache_folder() -> str:
    """The user's folder for what may be lost: ``$XDG_CACHE_HOME/mmseg_ccdistill``, else below ``~/.cache``."""
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return os.path.join(cache, 'mmseg_ccdistill')


class Manifest:
    """Facts of the files of one data root, kept in a JSON file.

    Everyone who may read the root may read the manifest in it (the usual rights of a new file); who
    may not write there reads it all the same and keeps what it lacks in the own cache folder.

    Args:
        root: Folder that the files belong to; paths below it are stored relative to it.
        folder: Folder for the JSON file, the only place to look. Defaults to ``root`` itself if it is
            writable, else :func:`cache_folder`.
    """

    def __init__(self, root: str, folder: str | None = None) -> None:
        self.root = os.path.abspath(root)
        name = f'manifest_{hashlib.sha256(self.root.encode()).hexdigest()[:16]}.json'
        if folder is not None:
            self._places = [os.path.join(folder, name)]
        else:
            self._places = [
                os.path.join(self.root, MANIFEST_NAME),
                os.path.join(cache_folder(), name),
            ]
        self._known = [_load(path) for path in self._places]

    def get(self, path: str, stamp: FileStamp, with_values: bool) -> ImageFacts | None:
        """Return what is known of an unchanged file."""
        key = self._key(path)
        for entries in self._known:
            facts = _facts(entries.get(key), stamp, with_values)
            if facts is not None:
                return facts
        return None

    def put(self, path: str, stamp: FileStamp, facts: ImageFacts, with_values: bool) -> None:
        """Remember the facts of a file."""
        for entries in self._known:
            entries[self._key(path)] = [*stamp, with_values, *facts]

    def save(self) -> None:
        """Write the JSON file as a whole or not at all, to the first place that takes it.

        Without room or rights in all of them the next start is slower; a warning says so.
        """
        message = ''
        for place, entries in zip(self._places, self._known, strict=True):
            try:
                _write(place, entries)
            except OSError as error:
                message = f'Cannot keep the manifest {place}: {error}'
            else:
                return
        warn(message)

    def _key(self, path: str) -> str:
        path = os.path.abspath(path)
        return os.path.relpath(path, self.root) if path.startswith(self.root + os.sep) else path


def _load(path: str) -> _Entries:
    try:
        with open(path, encoding='utf-8') as file:
            content = json.load(file)
        if content['version'] == _VERSION and isinstance(content['files'], dict):
            return content['files']
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none yet, or not ours: it is only a cache
    return {}


def _facts(entry: list | None, stamp: FileStamp, with_values: bool) -> ImageFacts | None:
    """Facts of an entry of that stamp."""
    if entry is None or entry[:2] != list(stamp):
        return None
    try:
        decoded, width, height, mode, values, orientation, palette = entry[2:]
        values = None if values is None else tuple(values)
        facts = ImageFacts(width, height, mode, values, orientation, palette)
    except (TypeError, ValueError):
        return None
    return facts if decoded or not with_values else None


def _write(path: str, entries: _Entries) -> None:
    """Write a manifest beside its place and move it there; runs that start together do not meet."""
    folder = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    draft = os.path.join(folder, f'.manifest{secrets.token_hex(8)}.tmp')
    # 0o666 less the umask, as any new file; ``tempfile`` would keep all others out.
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(handle, 'w', encoding='utf-8') as file:
            json.dump({'version': _VERSION, 'files': entries}, file, separators=(',', ':'))
        if os.path.exists(path):  # rights that someone has added stay
            os.chmod(draft, (os.stat(draft).st_mode | os.stat(path).st_mode) & 0o666)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
