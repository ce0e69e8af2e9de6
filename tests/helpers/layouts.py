"""Miniature trees of every published set, laid out and named as the sets are, and their archives.

The content of an image depends on its base name alone: a frame that two sets share by name is the
same file in both trees, as it is in Dark Zurich and ACDC.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_ccdistill.datasets.published_sets import PUBLISHED_SETS, PublishedSet, Split

SIZE = (64, 32)  # width, height

#: trainId -> labelId of the 19 classes, written down here anew: the tests' own truth.
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

DZ_TRAIN_NIGHTS = (
    'GOPR0351/GOPR0351_frame_000001',
    'GOPR0351/GOPR0351_frame_000002',
    'GOPR0376/GOPR0376_frame_000001',
    'GP010376/GP010376_frame_000001',
)
DZ_TRAIN_DAYS = (
    'GOPR0345/GOPR0345_frame_000001',
    'GOPR0345/GOPR0345_frame_000081',
    'GP010374/GP010374_frame_000610',
)
DZ_TRAIN_TWILIGHTS = ('GOPR0348/GOPR0348_frame_000001', 'GP010375/GP010375_frame_000001')
DZ_VAL = ('GOPR0356/GOPR0356_frame_000321', 'GOPR0356/GOPR0356_frame_000324')
DZ_TEST = ('GOPR0364/GOPR0364_frame_000001', 'GP010364/GP010364_frame_000009')
#: night -> day as the set pairs them: two nights share a day, one day is never used.
DZ_PAIRS = (
    (DZ_TRAIN_NIGHTS[0], DZ_TRAIN_DAYS[1]),
    (DZ_TRAIN_NIGHTS[1], DZ_TRAIN_DAYS[1]),
    (DZ_TRAIN_NIGHTS[2], DZ_TRAIN_DAYS[2]),
    (DZ_TRAIN_NIGHTS[3], DZ_TRAIN_DAYS[2]),
)

#: ACDC-night shares the first frame of train, the first of val and the first of test with Dark
#: Zurich, as the published sets do.
ACDC_NIGHT = {
    'train': ('GOPR0351/GOPR0351_frame_000001', 'GP010397/GP010397_frame_000101'),
    'val': ('GOPR0356/GOPR0356_frame_000321', 'GP020397/GP020397_frame_000011'),
    'test': ('GOPR0364/GOPR0364_frame_000001', 'GOPR0594/GOPR0594_frame_000021'),
}

BDD_NIGHT = ('train/00aad4a0-ee8135fe', 'train/03343856-ebf78b5f', 'val/a5fa7888-00000000')
BDD_OTHERS = ('train/0004a4c0-d4dff0ad', 'val/7d06fefd-f7be05a6')

NIGHT_DRIVING = ('01_frame_0555', '01_frame_0575', '02_frame_0015')


def write_image(path: Path, size: tuple[int, int] = SIZE) -> Path:
    """Write an RGB image (PNG or JPEG by suffix) whose content depends on its base name."""
    rng = np.random.RandomState(zlib.crc32(path.name.encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)).save(path)
    return path


def train_ids(stem: str, size: tuple[int, int] = SIZE) -> np.ndarray:
    """A label of trainIds and 255 that depends on the base name of its image."""
    rng = np.random.RandomState(zlib.crc32(Path(stem).name.encode()))
    return rng.choice([*range(19), 255], (size[1], size[0])).astype(np.uint8)


def label_ids(label: np.ndarray) -> np.ndarray:
    """The labelIds of a label of trainIds; ignored pixels become 3 (out of roi) and 255 (plate)."""
    table = np.full(256, 3, np.uint8)
    table[:19] = LABEL_IDS
    found = table[label]
    found[0, 0] = 255 if label[0, 0] == 255 else found[0, 0]
    return found


def write_label(path: Path, label: np.ndarray) -> Path:
    """Write a label as it is (uint8 mode L, uint16 mode I;16, or colour)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label).save(path)
    return path


def colours(label: np.ndarray) -> np.ndarray:
    """A colour picture of a label: what must never be read as a label."""
    return np.stack([label, 255 - label, label // 2], axis=-1)


def make_cityscapes(
    root: Path,
    counts: Mapping[str, int] | None = None,
    size: tuple[int, int] = SIZE,
    with_train_ids: bool = False,
) -> Path:
    """Write Cityscapes as its archives unpack: labelIds, colours and instances, no trainIds."""
    cities = dict(train='aachen', val='frankfurt', test='berlin')
    for split, count in (counts or dict(train=3, val=2, test=1)).items():
        for index in range(count):
            stem = f'{split}/{cities[split]}/{cities[split]}_{index:06d}_000019'
            write_image(root / 'leftImg8bit' / f'{stem}_leftImg8bit.png', size)
            label = train_ids(stem, size)
            ground_truth = root / 'gtFine' / f'{stem}_gtFine'
            files = {
                'labelIds': label_ids(label),
                'color': colours(label),
                'instanceIds': label_ids(label).astype(np.uint16) * 1000,
            }
            if with_train_ids:
                files['labelTrainIds'] = label
            for kind, content in files.items():
                write_label(ground_truth.with_name(f'{ground_truth.name}_{kind}.png'), content)
    return root


def _write_ground_truth(stem: Path, size: tuple[int, int], infix: str = 'gt') -> None:
    """Write the five files that Dark Zurich and ACDC ship for one labelled frame."""
    label = train_ids(stem.name, size)
    invalid = (train_ids(f'{stem.name}_inv', size) < 3).astype(np.uint8)
    for kind, content in {
        'labelTrainIds': label,
        'labelIds': label_ids(label),
        'labelColor': colours(label),
        'invIds': invalid,
        'invGray': invalid * 255,
    }.items():
        write_label(stem.with_name(f'{stem.name}_{infix}_{kind}.png'), content)


def make_dark_zurich(
    root: Path,
    size: tuple[int, int] = SIZE,
    pairs: Sequence[tuple[str, str]] = DZ_PAIRS,
    pair_list: bool = False,
) -> Path:
    """Write Dark Zurich as its three archives unpack into one folder.

    ``pairs`` go to ``corresp/train/night``, one CSV for every night sequence; ``pair_list`` writes
    them to ``lists/zurich_dn_pair_train.csv``, too.
    """
    images = root / 'rgb_anon'
    splits = {
        'train/night': DZ_TRAIN_NIGHTS,
        'train/day': DZ_TRAIN_DAYS,
        'train/twilight': DZ_TRAIN_TWILIGHTS,
        'val/night': DZ_VAL,
        'test/night': DZ_TEST,
    }
    for split, stems in splits.items():
        for stem in stems:
            write_image(images / split / f'{stem}_rgb_anon.png', size)
    for split, stems in (('val', DZ_VAL), ('test', DZ_TEST)):
        for sequence, name in (stem.split('/') for stem in stems):
            reference = images / f'{split}_ref/day/{sequence}_ref/{name}_ref_rgb_anon.png'
            write_image(reference, size)
    for stem in DZ_VAL:
        _write_ground_truth(root / 'gt/val/night' / stem, size)
    rows: dict[str, list[str]] = {}
    for night, day in pairs:
        row = f'train/night/{night},train/day/{day}\n'
        rows.setdefault(night.split('/')[0], []).append(row)
    for sequence, lines in rows.items():
        _write_text(root / f'corresp/train/night/{sequence}_ref_day.csv', lines)
    for stem, day in zip(DZ_TRAIN_TWILIGHTS, DZ_TRAIN_DAYS, strict=False):
        twilight = f'train/twilight/{stem},train/day/{day}\n'
        sequence = stem.split('/')[0]
        _write_text(root / f'corresp/train/twilight/{sequence}_ref_day.csv', [twilight])
    if pair_list:
        lines = sorted(line for group in rows.values() for line in group)
        _write_text(root / 'lists/zurich_dn_pair_train.csv', lines)
    lists = {
        **{
            f'{split.split("/")[0]}_{split.split("/")[1]}'
            if split.startswith('train')
            else split.split('/')[0]: [f'{split}/{stem}\n' for stem in stems]
            for split, stems in splits.items()
        },
        'val_ref': [f'val_ref/day/{_reference(stem)}\n' for stem in DZ_VAL],
        'test_ref': [f'test_ref/day/{_reference(stem)}\n' for stem in DZ_TEST],
    }
    for name, lines in lists.items():
        _write_text(root / f'lists_file_names/{name}_filenames.txt', lines)
    _write_text(root / 'gps/val/GOPR0356.txt', ['0 0\n'])
    return root


def _reference(stem: str) -> str:
    sequence, name = stem.split('/')
    return f'{sequence}_ref/{name}_ref'


def make_acdc(
    root: Path,
    size: tuple[int, int] = SIZE,
    labelled_references: bool = True,
    conditions: Iterable[str] = ('night',),
) -> Path:
    """Write ACDC as its two archives unpack into one folder."""
    for condition in conditions:
        for split, stems in ACDC_NIGHT.items():
            for stem in stems:
                if condition != 'night':
                    stem = stem.replace('_frame_', f'_{condition}_frame_')
                images = root / 'rgb_anon' / condition
                write_image(images / split / f'{stem}_rgb_anon.png', size)
                write_image(images / f'{split}_ref' / f'{stem}_rgb_ref_anon.png', size)
                if split != 'test':
                    gt = root / 'gt' / condition
                    _write_ground_truth(gt / split / stem, size)
                    if labelled_references:
                        _write_ground_truth(gt / f'{split}_ref' / stem, size, 'gt_ref')
    return root


def make_bdd100k(
    root: Path,
    layout: str = 'new',
    size: tuple[int, int] = SIZE,
    stems: Sequence[str] = BDD_NIGHT + BDD_OTHERS,
) -> Path:
    """Write the 10K images and masks of BDD100K, ``layout`` 'new' or 'old'."""
    if layout == 'new':
        images, labels, suffix = 'images/10k', 'labels/sem_seg/masks', '.png'
    else:
        images, labels, suffix = 'seg/images', 'seg/labels', '_train_id.png'
    for stem in stems:
        write_image(root / images / f'{stem}.jpg', size)
        label = train_ids(stem, size)
        write_label(root / labels / f'{stem}{suffix}', label)
        if layout == 'new':
            write_label(root / 'labels/sem_seg/colormaps' / f'{stem}.png', colours(label))
        else:
            write_label(root / 'seg/color_labels' / f'{stem}_train_color.png', colours(label))
    return root


def bdd100k_night_list(stems: Sequence[str] = BDD_NIGHT) -> str:
    """The published list of BDD100K-night: paths in the old layout."""
    return ''.join(f'seg/images/{stem}.jpg\n' for stem in stems)


def make_night_driving(root: Path, size: tuple[int, int] = SIZE) -> Path:
    """Write Nighttime Driving test: coarse labels, trainIds shipped."""
    for stem in NIGHT_DRIVING:
        write_image(root / f'leftImg8bit/test/night/{stem}_leftImg8bit.png', size)
        label = train_ids(stem, size)
        gt = root / 'gtCoarse_daytime_trainvaltest/test/night'
        write_label(gt / f'{stem}_gtCoarse_labelTrainIds.png', label)
    return root


MAKERS = {
    'cityscapes': make_cityscapes,
    'dark_zurich': make_dark_zurich,
    'acdc': make_acdc,
    'bdd100k': make_bdd100k,
    'night_driving': make_night_driving,
}

#: Archive -> (folder before every member, what of the tree it holds, documents at its top).
_DOCUMENTS = ('README.md', 'LICENSE.txt')
_ARCHIVES: dict[str, dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    'cityscapes': {
        'leftImg8bit_trainvaltest.zip': ('', ('leftImg8bit/',), ('README', 'license.txt')),
        'gtFine_trainvaltest.zip': ('', ('gtFine/',), ('README', 'license.txt')),
    },
    'dark_zurich': {
        'Dark_Zurich_train_anon.zip': (
            '',
            ('rgb_anon/train/', 'corresp/train/', 'lists_file_names/train'),
            _DOCUMENTS,
        ),
        'Dark_Zurich_val_anon.zip': (
            '',
            ('rgb_anon/val', 'gt/val/', 'gps/val', 'lists_file_names/val'),
            _DOCUMENTS,
        ),
        'Dark_Zurich_test_anon_withoutGt.zip': (
            '',
            ('rgb_anon/test', 'lists_file_names/test'),
            _DOCUMENTS,
        ),
    },
    'acdc': {
        'rgb_anon_trainvaltest.zip': ('', ('rgb_anon/',), _DOCUMENTS),
        'gt_trainval.zip': ('', ('gt/',), _DOCUMENTS),
    },
    'bdd100k': {
        'bdd100k_images_10k.zip': ('bdd100k/', ('images/',), ()),
        'bdd100k_sem_seg_labels_trainval.zip': ('bdd100k/', ('labels/',), ()),
    },
    'bdd100k_old': {'bdd100k_seg.zip': ('bdd100k/', ('seg/',), ())},
    'night_driving': {'NighttimeDrivingTest.zip': ('NighttimeDrivingTest/', ('',), ())},
}


def zip_set(name: str, tree: Path, folder: Path) -> list[Path]:
    """Pack a tree into archives named and laid out as published; returns them.

    ``name`` is a key of ``MAKERS``, or ``'bdd100k_old'``. The documents differ between archives.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in tree.rglob('*') if path.is_file())
    archives = []
    for archive, (prefix, parts, documents) in _ARCHIVES[name].items():
        archives.append(folder / archive)
        with zipfile.ZipFile(archives[-1], 'w', zipfile.ZIP_DEFLATED) as file:
            for document in documents:
                file.writestr(document, f'{document} of {archive}\n')
            for path in files:
                member = path.relative_to(tree).as_posix()
                if member.startswith(parts):
                    file.write(path, prefix + member)
    return archives


def tar_set(name: str, tree: Path, folder: Path, compression: str = 'gz') -> list[Path]:
    """Pack a tree into one tar archive; returns it in a list."""
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f'{name}.tar{"." if compression else ""}{compression}'
    with tarfile.open(archive, f'w:{compression}') as file:  # type: ignore[call-overload]
        for child in sorted(tree.iterdir()):
            file.add(child, child.name)
    return [archive]


def tree_contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder by relative path: to compare two trees."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def _write_text(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(lines))
    return path


#: Images of the miniature trees by set and split.
COUNTS = {
    'cityscapes': {'train': 3, 'val': 2, 'test': 1},
    'dark_zurich': {
        'train night': len(DZ_TRAIN_NIGHTS),
        'train day': len(DZ_TRAIN_DAYS),
        'train twilight': len(DZ_TRAIN_TWILIGHTS),
        'val night': len(DZ_VAL),
        'val reference': len(DZ_VAL),
        'test night': len(DZ_TEST),
        'test reference': len(DZ_TEST),
    },
    'acdc': {
        f'{split} {kind}': len(stems)
        for split, stems in ACDC_NIGHT.items()
        for kind in ('night', 'reference')
    },
    'bdd100k': {'night': len(BDD_NIGHT)},
    'night_driving': {'test night': len(NIGHT_DRIVING)},
}


def miniature_sets(size: tuple[int, int] = SIZE) -> dict[str, PublishedSet]:
    """The table of published sets with the counts and sizes of the miniature trees."""

    def shrink(name: str, split: Split) -> Split:
        sequences = Counter(stem.split('/')[0] for stem in _SEQUENCED.get((name, split.name), ()))
        return replace(
            split, count=COUNTS[name][split.name], size=split.size and size, sequences=sequences
        )

    return {
        name: replace(
            published,
            layouts={
                layout: tuple(shrink(name, split) for split in splits)
                for layout, splits in published.layouts.items()
            },
        )
        for name, published in PUBLISHED_SETS.items()
    }


_SEQUENCED = {
    ('dark_zurich', 'train night'): DZ_TRAIN_NIGHTS,
    ('dark_zurich', 'train day'): DZ_TRAIN_DAYS,
    ('dark_zurich', 'val night'): DZ_VAL,
    ('bdd100k', 'night'): BDD_NIGHT,
}
