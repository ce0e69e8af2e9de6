"""Judge what was read of the files of one split: readable, size, label values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from mmseg.datasets import CityscapesDataset

from ...datasets.image_facts import unreadable_sentence
from ...datasets.image_orientation import orientation_fault
from ...datasets.label_palette import LabelIds, disagreement_fault, palette_fault
from ...datasets.published_sets import ANON_LABEL_SUFFIX, INVALID_SUFFIX
from ...label_ids import IGNORE_INDEX, NUM_TRAIN_IDS, expected_ids, foreign_ids_fault
from .file_facts import FileFacts, hash_file, hash_pixels
from .findings import Finding, with_example
from .listing import PREPARE, ListedSplit

_IDS = LabelIds(
    tuple(CityscapesDataset.METAINFO['classes']),
    tuple((red, green, blue) for red, green, blue in CityscapesDataset.METAINFO['palette']),
    IGNORE_INDEX,
)
_INVALID_MASK = frozenset({0, 1, IGNORE_INDEX})  # values of invIds and invGray
_MASK_SUFFIXES = (INVALID_SUFFIX, INVALID_SUFFIX.replace('Ids', 'Gray'))


def check_files(listed: ListedSplit, facts: Mapping[str, FileFacts]) -> list[Finding]:
    """The faults of the files of a split; without any, one line that says what is right."""
    faults = [
        *_unreadable(listed, facts),
        *_image_sizes(listed, facts),
        *_label_sizes(listed, facts),
        *_orientations(listed, facts),
        *_label_values(listed, facts),
        *_palettes(listed, facts),
    ]
    name = listed.split.name
    if faults:
        return [Finding(listed.published.name, name, 'fault', text) for text in faults]
    return [Finding(listed.published.name, name, 'ok', _praise(listed, facts))]


def _praise(listed: ListedSplit, facts: Mapping[str, FileFacts]) -> str:
    parts = [f'{len(listed.images)} images']
    if listed.split.size is not None:
        parts.append('{}x{}'.format(*listed.split.size))
    decoded = any(facts[image].digest for image in listed.images)
    parts.append('every pixel read' if decoded else 'headers read')
    if listed.split.labels is not None:
        kind = 'trainIds' if decoded else 'values not read'
        parts.append(f'{len(listed.labels)} labels ({kind})')
    return ', '.join(parts)


def _files(listed: ListedSplit) -> list[str]:
    return [*listed.images, *listed.labels.values()]


def _unreadable(listed: ListedSplit, facts: Mapping[str, FileFacts]) -> Iterator[str]:
    broken = [path for path in _files(listed) if facts[path].error is not None]
    if broken:
        yield with_example(
            unreadable_sentence(
                broken[0], facts[broken[0]].error or '', 'remove it and unpack its archive again'
            ),
            broken,
        )


def _image_sizes(listed: ListedSplit, facts: Mapping[str, FileFacts]) -> Iterator[str]:
    expected = listed.split.size
    if expected is None:
        return
    wrong = [image for image in listed.images if facts[image].size not in (None, expected)]
    if wrong:
        sizes = Counter(facts[image].size for image in wrong)
        shown = ', '.join(f'{size[0]}x{size[1]}' for size in list(sizes)[:3] if size)
        yield with_example(
            f'The image {wrong[0]!r} has not the published size (found {shown}): expected '
            f'{expected[0]}x{expected[1]}; use the published images, the configs resize them.',
            wrong,
        )


def _label_sizes(listed: ListedSplit, facts: Mapping[str, FileFacts]) -> Iterator[str]:
    wrong = [
        (image, label)
        for image, label in listed.labels.items()
        if None not in (facts[image].size, facts[label].size)
        and facts[image].size != facts[label].size
    ]
    if wrong:
        image, label = wrong[0]
        sizes = ['{}x{}'.format(*(facts[path].size or ())) for path in (label, image)]
        yield with_example(
            f'The label {label!r} has {sizes[0]} pixels, but its image {image!r} has {sizes[1]}: '
            'expected equal sizes; unpack both archives again.',
            wrong,
        )


def _orientations(listed: ListedSplit, facts: Mapping[str, FileFacts]) -> Iterator[str]:
    faults = {}
    for image, label in listed.labels.items():
        sizes = facts[image].size, facts[label].size
        if sizes[0] is None or sizes[0] != sizes[1]:
            continue  # unreadable, or named already
        orientations = facts[image].orientation, facts[label].orientation
        fault = orientation_fault(image, label, orientations, (sizes[0], sizes[0]))
        if fault is not None:
            faults[image] = fault
    if faults:
        yield with_example(next(iter(faults.values())), list(faults))


def _palettes(listed: ListedSplit, facts: Mapping[str, FileFacts]) -> Iterator[str]:
    read = [
        (label, facts[label].values or (), facts[label].palette)
        for label in listed.labels.values()
        if facts[label].palette
    ]
    faults = {
        label: fault
        for label, values, palette in read
        if (fault := palette_fault(label, values, palette, _IDS))
    }
    if faults:
        yield with_example(next(iter(faults.values())), list(faults))
    elif (fault := disagreement_fault(read, _IDS)) is not None:
        yield fault


def _label_values(listed: ListedSplit, facts: Mapping[str, FileFacts]) -> Iterator[str]:
    expected = expected_ids(NUM_TRAIN_IDS)
    labels = [label for label in listed.labels.values() if facts[label].error is None]
    colour = [
        label for label in labels if len(facts[label].mode) > 1 and facts[label].mode[0] != 'I'
    ]
    if colour:
        yield with_example(
            f'The label {colour[0]!r} is a colour image (mode {facts[colour[0]].mode}): '
            f'{expected}; take the {listed.split.label_suffix!r} files of the published archive.',
            colour,
        )
    values = {label: set(facts[label].values or ()) for label in labels if facts[label].values}
    wrong = {
        label: fault
        for label, found in values.items()
        if (fault := _foreign_ids(label, found, listed)) is not None
    }
    if wrong:
        yield with_example(next(iter(wrong.values())), list(wrong))
    masks = {
        label: mask
        for label, found in values.items()
        if found <= _INVALID_MASK and (mask := _equal_mask(label, facts[label])) is not None
    }
    if masks:
        label, mask = next(iter(masks.items()))
        yield with_example(
            f'The label {label!r} equals {mask!r}, its mask of invalid pixels: {expected}; '
            'remove the label and unpack its archive again.',
            list(masks),
        )
    elif not wrong and values and set().union(*values.values()) <= _INVALID_MASK:
        yield (
            f'The labels of {listed.split.name}, e.g. {next(iter(values))!r}, hold the values 0, 1 '
            f'and 255 alone; these look like invIds, the masks of invalid pixels: {expected}; take '
            f'the {listed.split.label_suffix!r} files of the published archive.'
        )


def _equal_mask(label: str, facts: FileFacts) -> str | None:
    """The mask of invalid pixels beside a label that holds the same pixels, if there is one."""
    for suffix in _MASK_SUFFIXES if label.endswith(ANON_LABEL_SUFFIX) else ():
        mask = label.removesuffix(ANON_LABEL_SUFFIX) + suffix
        digest = hash_file(mask)
        if digest is None:
            continue
        if digest == facts.digest or hash_pixels(mask) == hash_pixels(label):
            return mask
    return None


def _foreign_ids(label: str, values: set[int], listed: ListedSplit) -> str | None:
    relabel = f'take the {listed.split.label_suffix!r} files of the published archive'
    if listed.published.name == 'cityscapes':
        relabel = (
            'move them away and make trainIds from the labelIds, '
            f'`{PREPARE} cityscapes --root {listed.root}`'
        )
    return foreign_ids_fault(
        f'The label {label!r}',
        values,
        NUM_TRAIN_IDS,
        relabel=relabel,
        otherwise='remove it and unpack its archive again',
    )
