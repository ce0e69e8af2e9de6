"""Settings of a run that differ from those of a config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..runtime.read_settings import READ_NAMES
from .run_folder import Run

#: Settings that say where a run lies and how it was started, not what it computes.
_PLACE = ('work_dir', 'launcher', 'resume')
_MISSING = '(not set)'
_LONGEST = 160


def flat(value: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Yield the single settings of a config with their dotted keys; an index of a list is a part of the key."""
    if isinstance(value, Mapping) and value:
        for name, child in value.items():
            yield from flat(child, f'{key}.{name}' if key else str(name))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for index, child in enumerate(value):
            yield from flat(child, f'{key}.{index}')
    else:
        yield key, list(value) if isinstance(value, tuple) else value


def changed_settings(base: Config, config: Config) -> list[tuple[str, str, str]]:
    """Compare two configs setting by setting.

    Args:
        base: What it is compared with.
        config: Config of a run.

    Returns:
        Dotted key, value of the base, value of the run; sorted by key. Where a run was put is left out.
    """
    ours, theirs = (dict(flat(_settings(cfg))) for cfg in (config, base))
    changed = [
        key
        for key in sorted({*ours, *theirs})
        if ours.get(key, _MISSING) != theirs.get(key, _MISSING)
    ]
    return [(key, _text(theirs, key), _text(ours, key)) for key in changed]


def _settings(config: Config) -> dict[str, Any]:
    """What a run reads of a config: variables of its file have been used in other places and are no settings."""
    read = READ_NAMES.difference(_PLACE)
    return {key: value for key, value in config.to_dict().items() if key in read}


def _text(settings: Mapping[str, Any], key: str) -> str:
    text = repr(settings[key]) if key in settings else _MISSING
    return text if len(text) <= _LONGEST else f'{text[: _LONGEST - 1]}…'


def find_base(run: Run) -> Path | None:
    """The config file that a run was started from.

    A file of the run's config name below ``configs`` of the working directory or of the package; where several
    methods have one, that in a folder of the same name as the run or the folder that it lies in.

    Args:
        run: The run.

    Returns:
        The file; None if there is none, or several and no way to tell.
    """
    package = Path(__file__).resolve().parents[1]
    for root in (Path('configs'), package.parent / 'configs', package / '.mim' / 'configs'):
        files = sorted(root.rglob(f'{run.config_name}.py'))
        if len(files) > 1:
            folder = run.folder.resolve()
            own = (folder.parent.name, folder.name)
            files = [file for file in files if file.parent.name in own]
        if len(files) == 1:
            return files[0]
    return None
