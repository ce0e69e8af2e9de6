"""The examination as a whole: list, read every file once, judge, compare the sets."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from ...datasets.file_scan import map_processes
from ...datasets.published_sets import PUBLISHED_SETS, PublishedSet, find_set
from ...errors import UserInputError
from ..prepare.lists import NIGHT_PAIRS, TWILIGHT_PAIRS
from .file_checks import check_files
from .file_facts import Request, read_file
from .findings import Finding, Report
from .listing import ListedSplit, find_layout, list_split
from .overlap import describe_shared, find_shared
from .pair_checks import check_pairs, check_references


def examine(
    roots: Mapping[str, str],
    quick: bool = False,
    workers: int | None = None,
    sets: Mapping[str, PublishedSet] = PUBLISHED_SETS,
) -> Report:
    """Compare folders with the sets that were published.

    Args:
        roots: Root folder by key of the set.
        quick: Read headers only: no broken pixels, label values or re-encoded frames are found.
        workers: Processes. Defaults to one for each available core.
        sets: What was published, by key.

    Returns:
        The findings, set by set, and last what the sets share.

    Raises:
        UserInputError: If a set is unknown.
    """
    start = time.perf_counter()
    unknown = sorted(set(roots) - set(sets))
    if unknown:
        raise UserInputError(f'There is no set {unknown[0]!r}: expected one of {", ".join(sets)}.')
    listed: dict[str, dict[str, ListedSplit]] = {}
    findings: dict[str, list[Finding]] = {}
    for name, root in roots.items():
        listed[name], findings[name] = _list_set(sets[name], root)
    every = [split for splits in listed.values() for split in splits.values()]
    requests = {
        path: Request(path, not quick, path in labels)
        for split in every
        for labels in [set(split.labels.values())]
        for path in (*split.images, *split.labels.values())
    }
    read = map_processes(read_file, list(requests.values()), 'Reading files', workers)
    facts = dict(zip(requests, read, strict=True))
    for name, splits in listed.items():
        for split in splits.values():
            judged = [*check_files(split, facts), *check_references(split, splits)]
            findings[name] += _without_praise_of_faulty(judged, findings[name])
        if name == 'dark_zurich':
            for pairs_of in (NIGHT_PAIRS, TWILIGHT_PAIRS):
                findings[name] += check_pairs(roots[name], splits, pairs_of)
    digests = None if quick else {path: facts[path].digest for path in facts}
    shared = describe_shared(find_shared(every, digests, workers))
    lines = [finding for name in roots for finding in _in_order(findings[name])]
    if len(every) > 1 and not shared:
        how = 'by file, equal sizes only' if quick else 'by file and by pixels'
        shared = [Finding('+'.join(roots), 'overlap', 'ok', f'no frame is in two splits ({how})')]
    return Report((*lines, *shared), len(requests), time.perf_counter() - start)


def _list_set(published: PublishedSet, root: str) -> tuple[dict[str, ListedSplit], list[Finding]]:
    if not os.path.isdir(root):
        text = (
            f'The root {root!r} does not exist: expected the folders of {published.title}; '
            f'prepare it from {" and ".join(published.archives)} (docs/data.md).'
        )
        return {}, [Finding(published.name, 'root', 'fault', text)]
    splits = find_layout(published, root)
    needed = [split for split in splits if split.needed]
    if not any(os.path.isdir(os.path.join(root, split.images)) for split in needed):
        other = _other_set(published, root)
        if other is not None:
            text = (
                f'The root {root!r} looks like {other.title}, not {published.title}: expected '
                f'{needed[0].images!r}; name it with {other.name}={root}.'
            )
            return {}, [Finding(published.name, 'root', 'fault', text)]
    listed, findings = {}, []
    for split in splits:
        files, faults = list_split(published, root, split)
        findings += faults
        if files is not None:
            listed[split.name] = files
    return listed, findings


def _other_set(published: PublishedSet, root: str) -> PublishedSet | None:
    """The set whose folders lie below a root, if it is another one."""
    for other in PUBLISHED_SETS.values():
        for splits in other.layouts.values():
            for split in splits:
                if split.needed and os.path.isdir(os.path.join(root, split.images)):
                    found = find_set(f'{split.images}/x')
                    if found is not None and found[0] == other.name != published.name:
                        return other
    return None


def _without_praise_of_faulty(judged: list[Finding], before: list[Finding]) -> list[Finding]:
    """A split with a fault gets no line that says what is right with it."""
    faulty = {finding.check for finding in (*judged, *before) if finding.verdict == 'fault'}
    return [f for f in judged if f.verdict != 'ok' or f.check not in faulty]


def _in_order(findings: list[Finding]) -> list[Finding]:
    """Lines about one split stand together, in the order in which the splits came up."""
    order = list(dict.fromkeys(finding.check for finding in findings))
    return sorted(findings, key=lambda finding: order.index(finding.check))
