"""How two lists of class names differ."""

from __future__ import annotations

from collections.abc import Sequence


def class_difference(
    ours: Sequence[str], theirs: Sequence[str], owners: tuple[str, str]
) -> str | None:
    """Say how two lists of classes differ, as a part of a sentence that names their owners; None if they are equal.

    Ids are places in the list, so the order counts.
    """
    if list(ours) == list(theirs):
        return None
    if len(ours) == len(theirs) and set(ours) == set(theirs):
        k = next(k for k, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1])
        return (
            f'the same names in another order: class {k} is {ours[k]!r} in {owners[0]}, {theirs[k]!r} '
            f'in {owners[1]}'
        )
    parts = [
        f'only in {owner}: {_some([name for name in mine if name not in other])}'
        for owner, mine, other in ((owners[0], ours, theirs), (owners[1], theirs, ours))
        if set(mine) - set(other)
    ]
    return ', '.join(parts) or f'{len(ours)} names in {owners[0]}, {len(theirs)} in {owners[1]}'


def _some(names: Sequence[str], count: int = 8) -> str:
    """The names as text, at most a few of them."""
    text = ', '.join(map(repr, names[:count]))
    return f'{text}, … ({len(names)})' if len(names) > count else text
