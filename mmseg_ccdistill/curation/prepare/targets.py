"""Which file of a source belongs where below the root of a set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...datasets.published_sets import PUBLISHED_SETS, PublishedSet, find_set
from ...runtime.atomic_file import UNFINISHED
from .archives import Member, PreparationError, one_name

_JUNK = frozenset({'__MACOSX', '.DS_Store', 'Thumbs.db'})
_ARCHIVE_SUFFIXES = ('.zip', '.tar', '.tgz', '.tar.gz', '.tar.bz2', '.tar.xz')

#: What one source holds for the set: member by name with its path below the root.
Targets = dict[str, tuple[Member, str]]


def list_folder(source: str) -> list[Member]:
    """List the files below a folder; links are followed."""
    members = []
    visited: set[str] = set()  # links may lead in a circle
    for folder, names, files in os.walk(source, followlinks=True):
        names[:] = sorted(
            name for name in names if os.path.realpath(os.path.join(folder, name)) not in visited
        )
        visited.update(os.path.realpath(os.path.join(folder, name)) for name in names)
        for file in sorted(files):
            path = os.path.join(folder, file)
            if os.path.isfile(path):
                name = os.path.relpath(path, source).replace(os.sep, '/')
                members.append(Member(name, os.path.getsize(path), None))
    return members


def assign_targets(source: str, members: Sequence[Member], published: PublishedSet) -> Targets:
    """Say for each member of the set where below the root it belongs."""
    targets: Targets = {}
    documents: Targets = {}
    other: tuple[str, str] | None = None
    in_folder = os.path.isdir(source)
    # A folder may be named inside the layout, e.g. .../rgb_anon: its own path says where it stands.
    base = os.path.abspath(source).replace(os.sep, '/') if in_folder else ''
    for member in members:
        parts = member.name.split('/')
        if _is_junk(parts):
            continue
        found = find_set(member.name)
        if found is None and in_folder:
            found = find_set('/'.join([*base.split('/')[-4:], member.name]))
        if found is not None and found[0] == published.name:
            targets[member.name] = (member, found[1])
        elif found is not None:
            other = other or (member.name, found[0])
        elif not in_folder and parts[-1].upper().startswith(('README', 'LICENSE')):
            stem = Path(source).name.split('.')[0]
            documents[member.name] = (member, f'documents/{stem}/{parts[-1]}')
    if targets:
        return {**targets, **documents}
    kind = 'folder' if in_folder else 'archive'
    if other is not None:
        title = PUBLISHED_SETS[other[1]].title
        raise PreparationError(
            f'The {kind} {source!r} looks like {title}, not {published.title} '
            f'(it holds {other[0]!r}): expected {_expected(published)}; '
            f"prepare it with '{other[1]}' or name another source."
        )
    archives = [
        name
        for name in (sorted(os.listdir(source)) if in_folder else ())
        if name.endswith(_ARCHIVE_SUFFIXES)
    ]
    fix = f'name the archives in it, e.g. {archives[0]!r}' if archives else 'name another source'
    raise PreparationError(
        f'The {kind} {source!r} holds no file of {published.title}: '
        f'expected {_expected(published)}; {fix}.'
    )


def _is_junk(parts: Sequence[str]) -> bool:
    """Tell what other systems add to a folder, and what an interrupted run left in it."""
    name = parts[-1]
    return name.startswith('._') or name.endswith(UNFINISHED) or not _JUNK.isdisjoint(parts)


def _expected(published: PublishedSet) -> str:
    folders = ', '.join(repr(folder) for folder in published.folders[:3])
    return f'{" or ".join(published.archives)} with folders such as {folders}'


def claim(source: str, targets: Targets, taken: dict[str, tuple[str, str, Member]]) -> None:
    """Refuse two members that would become one file, unless they are equal, and files as folders.

    Whether members without a CRC are equal shows when the second one is written.
    """
    for member, target in targets.values():
        other_source, other_target, other = taken.setdefault(
            one_name(target), (source, target, member)
        )
        if other is member:
            continue
        crcs = {member.crc, other.crc} - {None}
        if other_target != target or member.size != other.size or len(crcs) > 1:
            raise PreparationError(
                f'{other.name!r} of {other_source!r} and {member.name!r} of {source!r} differ, but '
                f'both belong to {target!r}: expected one file; leave one of the sources out.'
            )
    for _, target in targets.values():
        folder = os.path.dirname(target)
        while folder:
            if one_name(folder) in taken:
                raise PreparationError(
                    f'The source {source!r} holds {target!r}, but {folder!r} is a file in '
                    f'{taken[one_name(folder)][0]!r}: expected a folder; '
                    'download the archive again.'
                )
            folder = os.path.dirname(folder)
