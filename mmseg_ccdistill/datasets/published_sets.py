"""What was published: folders, file names, counts and sizes of the five public sets.

The one place for these facts. ``preparation`` brings archives into this layout, ``doctor`` compares
a folder with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_CITYSCAPES_SIZE = (2048, 1024)
#: Width and height of the images of Dark Zurich, ACDC and Nighttime Driving.
GOPRO_SIZE = (1920, 1080)

#: Pair list of Dark Zurich and stems of BDD100K-night, relative to the root of their set.
PAIR_LIST = 'lists/zurich_dn_pair_train.csv'
NIGHT_LIST = 'lists/bdd100k_night.txt'
#: The list of BDD100K-night as MGCDA and Refign publish it.
PUBLISHED_NIGHT_LIST = 'images_trainval_night_correct_filenames.txt'
#: Folder of CSV files with the pairs as Dark Zurich ships them, and the folder that their stems are below.
CORRESPONDENCES, PAIR_FOLDER = 'corresp/train/night', 'rgb_anon'
#: The same for twilight, which the set pairs with its days, too: list (made here) and folder of CSV files.
TWILIGHT_LIST = 'lists/zurich_twilight_day_pair_train.csv'
TWILIGHT_CORRESPONDENCES = 'corresp/train/twilight'
#: Ends of the file names of Dark Zurich and ACDC: images, masks of invalid pixels, labels.
ANON_SUFFIX, INVALID_SUFFIX = '_rgb_anon.png', '_gt_invIds.png'
ANON_LABEL_SUFFIX = '_gt_labelTrainIds.png'
#: Conditions of ACDC: equal numbers of images each.
ACDC_CONDITIONS = ('fog', 'night', 'rain', 'snow')


@dataclass(frozen=True)
class Split:
    """One folder of images of a set.

    Attributes:
        name: Name for people, e.g. ``'train night'``.
        images: Folder below the root; images lie in it or in its sub-folders.
        image_suffix: End of the file names.
        count: Published number of images.
        size: Published width and height in pixels; None if images differ.
        labels: Folder of the labels, which mirrors ``images``; None if unlabelled.
        label_suffix: What replaces ``image_suffix`` in the name of a label.
        references: Name of the split that holds one reference frame for each image.
        role: ``'train'`` (seen in training), ``'test'`` (scored) or ``'reference'``.
        needed: Whether the recipe cannot do without it.
        sequences: Published number of images of each sub-folder, where it is known.
        stems: File with the stems of the split, relative to the root; None takes the whole folder.
    """

    name: str
    images: str
    image_suffix: str
    count: int
    size: tuple[int, int] | None
    labels: str | None = None
    label_suffix: str = ''
    references: str | None = None
    role: str = 'train'
    needed: bool = True
    sequences: Mapping[str, int] = field(default_factory=dict)
    stems: str | None = None


@dataclass(frozen=True)
class PublishedSet:
    """A public set.

    Attributes:
        name: Key of the set, and its folder below ``data/``.
        title: Name for people.
        archives: File names of the downloads.
        page: Where they are offered.
        folders: Folders by which a path of the set is known, wherever it was unpacked.
        layouts: Splits by layout; a set whose folders were renamed in a later release has several.
    """

    name: str
    title: str
    archives: tuple[str, ...]
    page: str
    folders: tuple[str, ...]
    layouts: Mapping[str, tuple[Split, ...]]

    def split(self, name: str) -> Split:
        """A split of the first layout.

        Raises:
            KeyError: If there is none.
        """
        return {split.name: split for split in next(iter(self.layouts.values()))}[name]


def _cityscapes_split(name: str, count: int, role: str, needed: bool) -> Split:
    labelled = name != 'test'
    return Split(
        name,
        f'leftImg8bit/{name}',
        '_leftImg8bit.png',
        count,
        _CITYSCAPES_SIZE,
        labels=f'gtFine/{name}' if labelled else None,
        label_suffix='_gtFine_labelTrainIds.png' if labelled else '',
        role=role,
        needed=needed,
    )


# Counts: the file lists of MGCDA. Size: Refign's dataset class.
CITYSCAPES = PublishedSet(
    name='cityscapes',
    title='Cityscapes',
    archives=('leftImg8bit_trainvaltest.zip', 'gtFine_trainvaltest.zip'),
    page='https://www.cityscapes-dataset.com',
    folders=tuple(
        f'{folder}/{split}'
        for folder in ('leftImg8bit', 'gtFine')
        for split in ('train', 'val', 'test')
    ),
    layouts={
        'published': (
            _cityscapes_split('train', 2975, 'train', True),
            _cityscapes_split('val', 500, 'test', True),
            _cityscapes_split('test', 1525, 'test', False),
        )
    },
)


def _dark_zurich_split(name: str, images: str, count: int, **kwargs: object) -> Split:
    return Split(
        name,
        f'{PAIR_FOLDER}/{images}',
        ANON_SUFFIX,
        count,
        GOPRO_SIZE,
        **kwargs,  # type: ignore[arg-type]
    )


# Counts and sequences: DANNet's pair list (night), MGCDA's lists (day, twilight), DANNet's lists of
# val and test. Size: Refign's dataset class.
DARK_ZURICH = PublishedSet(
    name='dark_zurich',
    title='Dark Zurich',
    archives=(
        'Dark_Zurich_train_anon.zip',
        'Dark_Zurich_val_anon.zip',
        'Dark_Zurich_test_anon_withoutGt.zip',
    ),
    page='https://data.vision.ee.ethz.ch/csakarid/shared/GCMA_UIoU/',
    folders=(
        'rgb_anon/train/night',
        'rgb_anon/train/day',
        'rgb_anon/train/twilight',
        'rgb_anon/val/night',
        'rgb_anon/val_ref/day',
        'rgb_anon/test/night',
        'rgb_anon/test_ref/day',
        'gt/val/night',
        'corresp',
        'gps',
        'lists_file_names',
    ),
    layouts={
        'published': (
            _dark_zurich_split(
                'train night',
                'train/night',
                2416,
                sequences={'GOPR0351': 1027, 'GOPR0376': 1061, 'GP010376': 328},
            ),
            _dark_zurich_split(
                'train day',
                'train/day',
                3041,
                sequences={'GOPR0345': 1061, 'GOPR0374': 1061, 'GP010374': 919},
            ),
            _dark_zurich_split(
                'train twilight',
                'train/twilight',
                2920,
                needed=False,
                sequences={'GOPR0348': 819, 'GOPR0375': 1061, 'GP010375': 1040},
            ),
            _dark_zurich_split(
                'val night',
                'val/night',
                50,
                labels='gt/val/night',
                label_suffix=ANON_LABEL_SUFFIX,
                references='val reference',
                role='test',
                sequences={'GOPR0356': 50},
            ),
            _dark_zurich_split('val reference', 'val_ref', 50, role='reference', needed=False),
            _dark_zurich_split(
                'test night',
                'test/night',
                151,
                references='test reference',
                role='test',
                needed=False,
                sequences={'GOPR0364': 105, 'GP010364': 46},
            ),
            _dark_zurich_split('test reference', 'test_ref', 151, role='reference', needed=False),
        )
    },
)


def _acdc_splits(name: str, count: int, needed: bool) -> tuple[Split, Split]:
    labelled = name != 'test'
    images = Split(
        f'{name} night',
        f'rgb_anon/night/{name}',
        ANON_SUFFIX,
        count,
        GOPRO_SIZE,
        labels=f'gt/night/{name}' if labelled else None,
        label_suffix=ANON_LABEL_SUFFIX if labelled else '',
        references=f'{name} reference',
        role='train' if name == 'train' else 'test',
        needed=needed,
    )
    references = Split(
        f'{name} reference',
        f'rgb_anon/night/{name}_ref',
        '_rgb_ref_anon.png',
        count,
        GOPRO_SIZE,
        role='reference',
        needed=False,
    )
    return images, references


# Counts: ACDC, arXiv 2104.13395; Refign's dataset class for folders, names and size. Only night.
ACDC = PublishedSet(
    name='acdc',
    title='ACDC-night',
    archives=('rgb_anon_trainvaltest.zip', 'gt_trainval.zip'),
    page='https://acdc.vision.ee.ethz.ch',
    folders=tuple(
        f'{folder}/{condition}' for folder in ('rgb_anon', 'gt') for condition in ACDC_CONDITIONS
    ),
    layouts={
        'published': (
            *_acdc_splits('train', 400, False),
            *_acdc_splits('val', 106, True),
            *_acdc_splits('test', 500, False),
        )
    },
)


def _bdd100k_night(images: str, labels: str, label_suffix: str) -> tuple[Split, ...]:
    # 74 of the images are in BDD100K's train folder, 13 in val; sizes differ between images.
    return (
        Split(
            'night',
            images,
            '.jpg',
            87,
            None,
            labels=labels,
            label_suffix=label_suffix,
            role='test',
            sequences={'train': 74, 'val': 13},
            stems=NIGHT_LIST,
        ),
    )


# Count: MGCDA's list (images_trainval_night_correct_filenames.txt). Folders: the BDD100K manual for
# the new layout, MGCDA's list for the old one.
BDD100K = PublishedSet(
    name='bdd100k',
    title='BDD100K-night',
    archives=('bdd100k_images_10k.zip', 'bdd100k_sem_seg_labels_trainval.zip'),
    page='https://bdd-data.berkeley.edu',
    folders=(
        'images/10k',
        'labels/sem_seg',
        'seg/images',
        'seg/labels',
        'seg/color_labels',
    ),
    layouts={
        'new': _bdd100k_night('images/10k', 'labels/sem_seg/masks', '.png'),
        'old': _bdd100k_night('seg/images', 'seg/labels', '_train_id.png'),
    },
)

# Count and names: MGCDA's list of the set. Size: Refign's dataset class.
NIGHT_DRIVING = PublishedSet(
    name='night_driving',
    title='Nighttime Driving',
    archives=('NighttimeDrivingTest.zip',),
    page='http://data.vision.ee.ethz.ch/daid/NighttimeDriving/',
    folders=('leftImg8bit/test/night', 'gtCoarse_daytime_trainvaltest'),
    layouts={
        'published': (
            Split(
                'test night',
                'leftImg8bit/test/night',
                '_leftImg8bit.png',
                50,
                GOPRO_SIZE,
                labels='gtCoarse_daytime_trainvaltest/test/night',
                label_suffix='_gtCoarse_labelTrainIds.png',
                role='test',
            ),
        )
    },
)

PUBLISHED_SETS: Mapping[str, PublishedSet] = {
    published.name: published
    for published in (CITYSCAPES, DARK_ZURICH, ACDC, BDD100K, NIGHT_DRIVING)
}


def find_set(path: str) -> tuple[str, str] | None:
    """Recognise the set that a path belongs to, wherever it was unpacked.

    Args:
        path: Path of a file in an archive or below a folder, with ``/`` between its parts.

    Returns:
        Key of the set and the path below its root, e.g. ``('acdc', 'gt/night/train/…')`` for
        ``'gt_trainval/gt/night/train/…'``; None for files of no set. Of several sets, the one with
        the most specific folder.
    """
    found: tuple[int, int, str, str] | None = None
    slashed = f'/{path}'
    for name, published in PUBLISHED_SETS.items():
        for folder in published.folders:
            start = slashed.find(f'/{folder}/')
            if start >= 0:
                candidate = (folder.count('/'), -start, name, slashed[start + 1 :])
                if found is None or candidate[:2] > found[:2]:
                    found = candidate
    return None if found is None else (found[2], found[3])
