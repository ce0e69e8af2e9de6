"""Trees broken in every way that has a sentence, with that sentence."""

import shutil
from pathlib import Path

import numpy as np
from layouts import (
    ACDC_NIGHT,
    BDD_NIGHT,
    MAKERS,
    SIZE,
    label_ids,
    train_ids,
    write_image,
    write_label,
)
from PIL import Image

PREPARE = 'python tools/dataset_converters/prepare.py'
CITY = 'leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png'
CITY_LABEL = 'gtFine/train/aachen/aachen_000001_000019_gtFine_labelTrainIds.png'
NIGHT = 'rgb_anon/train/night/GOPR0351/GOPR0351_frame_000001_rgb_anon.png'
DAY = 'rgb_anon/train/day/GP010374/GP010374_frame_000610_rgb_anon.png'
VAL = 'rgb_anon/val/night/GOPR0356/GOPR0356_frame_000324_rgb_anon.png'
VAL_LABEL = 'gt/val/night/GOPR0356/GOPR0356_frame_000324_gt_labelTrainIds.png'
FIRST_VAL_LABEL = VAL_LABEL.replace('000324', '000321')
ACDC_LABEL = f'gt/night/val/{ACDC_NIGHT["val"][0]}_gt_labelTrainIds.png'
VAL_REFERENCE = 'rgb_anon/val_ref/day/GOPR0356_ref/GOPR0356_frame_000324_ref_rgb_anon.png'
PAIRS = 'lists/zurich_dn_pair_train.csv'
TWILIGHT_PAIRS = 'lists/zurich_twilight_day_pair_train.csv'
STEMS = 'lists/bdd100k_night.txt'
TRAIN_IDS = 'expected class ids 0..18 and 255 (ignore) in one channel'


# Each break: set, what is done to its root, check, sentence with {root} and {command}.


def remove(*names):
    def act(root):
        for name in names:
            path = root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return act


def picture(name, size=SIZE):
    return lambda root: write_image(root / name, size)


def label(name, content):
    return lambda root: write_label(root / name, content)


def dangling(name):
    def act(root):
        (root / name).unlink()
        (root / name).symlink_to('/gone/x.png')

    return act


def text(name, content):
    return lambda root: (root / name).write_bytes(content)


def truncate(name, share=0.6):
    def act(root):
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: int(len(content) * share)])

    return act


def move(old, new):
    def act(root):
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / old).rename(root / new)

    return act


def every_label(content):
    def act(root):
        for path in (root / 'gt/val').rglob('*_gt_labelTrainIds.png'):
            write_label(path, content(path))

    return act


def mask_as_label(names, kind, encode=None):
    def act(root):
        for name in names:
            mask = root / name.replace('labelTrainIds', kind)
            if encode is None:
                shutil.copy(mask, root / name)
            else:
                Image.open(mask).save(root / name, **encode)
                assert mask.read_bytes() != (root / name).read_bytes()

    return act


def lines(change, name='lists/zurich_dn_pair_train.csv'):
    def act(root):
        path = root / name
        path.write_text(''.join(f'{line}\n' for line in change(path.read_text().splitlines())))

    return act


PLAIN = np.zeros((SIZE[1], SIZE[0]), np.uint8)
SMALL = np.zeros((SIZE[1] // 2, SIZE[0] // 2), np.uint8)

BREAKS = {
    'an image is missing': (
        'cityscapes',
        remove(CITY, CITY_LABEL),
        'train',
        "'{root}/leftImg8bit/train' holds 2 images that end in '_leftImg8bit.png': expected 3; "
        'unpack the missing ones, `{command}`.',
    ),
    'an image is foreign': (
        'dark_zurich',
        picture('rgb_anon/train/night/GOPR0345/GOPR0345_frame_000001_rgb_anon.png'),
        'train night',
        "'{root}/rgb_anon/train/night' holds 5 images that end in '_rgb_anon.png' "
        '(GOPR0345 is not published): expected 4; take out those that do not belong to the split.',
    ),
    'a sequence is short': (
        'dark_zurich',
        remove(DAY),
        'train day',
        "'{root}/rgb_anon/train/day' holds 2 images that end in '_rgb_anon.png' "
        '(GP010374 has 0 of 1): expected 3; unpack the missing ones, `{command}`.',
    ),
    'a folder is missing': (
        'dark_zurich',
        remove('rgb_anon/train/day'),
        'train day',
        "The folder '{root}/rgb_anon/train/day' does not exist: expected the 3 images of "
        'train day; run `{command}`.',
    ),
    'the archive kept a folder of its own': (
        'dark_zurich',
        move('rgb_anon/val', 'Dark_Zurich_val_anon/rgb_anon/val'),
        'val night',
        "The folder 'rgb_anon/val/night' lies in '{root}/Dark_Zurich_val_anon': expected it "
        "directly below '{root}'; run `" + PREPARE + ' dark_zurich {root}/Dark_Zurich_val_anon '
        '--root {root}`.',
    ),
    'the conditions of ACDC are mixed': (
        'acdc',
        move('rgb_anon/night', 'rgb_anon_old/x'),
        'val night',
        "The folder '{root}/rgb_anon/night/val' does not exist: expected the 2 images of "
        'val night; run `{command}`.',
    ),
    'labelTrainIds have not been made': (
        'cityscapes',
        remove(CITY_LABEL),
        'train',
        "The label '{root}/" + CITY_LABEL + "' of the image '{root}/" + CITY + "' does not exist: "
        'expected one label for every image; make it from the labelIds beside it, `'
        + PREPARE
        + ' cityscapes --root {root}`.',
    ),
    'a label is missing': (
        'dark_zurich',
        remove(VAL_LABEL, VAL_LABEL.replace('TrainIds', 'Ids')),
        'val night',
        "The label '{root}/" + VAL_LABEL + "' of the image '{root}/" + VAL + "' does not exist: "
        'expected one label for every image; unpack Dark_Zurich_val_anon.zip again.',
    ),
    'a label is missing beside labelIds that nothing is made of': (
        'dark_zurich',
        remove(VAL_LABEL),
        'val night',
        "The label '{root}/" + VAL_LABEL + "' of the image '{root}/" + VAL + "' does not exist: "
        'expected one label for every image; unpack Dark_Zurich_val_anon.zip again.',
    ),
    'an image is a link to nothing': (
        'dark_zurich',
        dangling(NIGHT),
        'train night',
        "The file '{root}/" + NIGHT + "' cannot be read (a link to '/gone/x.png', which does not "
        'exist): expected a whole PNG or JPEG image; remove it and unpack its archive again.',
    ),
    'a label is a link to nothing': (
        'dark_zurich',
        dangling(VAL_LABEL),
        'val night',
        "The file '{root}/" + VAL_LABEL + "' cannot be read (a link to '/gone/x.png', which does "
        'not exist): expected a whole PNG or JPEG image; remove it and unpack its archive again.',
    ),
    'a label has no image': (
        'acdc',
        label('gt/night/val/X/X_frame_000001_gt_labelTrainIds.png', PLAIN),
        'val night',
        "The label '{root}/gt/night/val/X/X_frame_000001_gt_labelTrainIds.png' has no image: "
        "expected its image in '{root}/rgb_anon/night/val'; restore the image or take the label "
        'out.',
    ),
    'labelIds under the name of labelTrainIds': (
        'cityscapes',
        lambda root: write_label(root / CITY_LABEL, label_ids(train_ids(Path(CITY).name))),
        'train',
        "The label '{root}/" + CITY_LABEL + "' holds the values 19, 20, 21, 22, 23, 24, 25, 26, …, "
        f'which look like labelIds: {TRAIN_IDS} (trainIds); move them away and make trainIds from the '
        'labelIds, `' + PREPARE + ' cityscapes --root {root}`.',
    ),
    'labelIds in Dark Zurich': (
        'dark_zurich',
        label(VAL_LABEL, np.full_like(PLAIN, 26)),
        'val night',
        "The label '{root}/" + VAL_LABEL + "' holds the values 26, which look like labelIds: "
        f"{TRAIN_IDS} (trainIds); take the '_gt_labelTrainIds.png' files of the published archive.",
    ),
    'values of no label': (
        'night_driving',
        label(
            'gtCoarse_daytime_trainvaltest/test/night/01_frame_0555_gtCoarse_labelTrainIds.png',
            np.full_like(PLAIN, 200),
        ),
        'test night',
        "The label '{root}/gtCoarse_daytime_trainvaltest/test/night/"
        "01_frame_0555_gtCoarse_labelTrainIds.png' holds the values 200: "
        f'{TRAIN_IDS}; remove it and unpack its archive again.',
    ),
    'a colour image as label': (
        'bdd100k',
        label(f'labels/sem_seg/masks/{BDD_NIGHT[0]}.png', np.zeros((*PLAIN.shape, 3), np.uint8)),
        'night',
        "The label '{root}/labels/sem_seg/masks/" + BDD_NIGHT[0] + ".png' is a colour image "
        f"(mode RGB): {TRAIN_IDS}; take the '.png' files of the published archive.",
    ),
    'masks of invalid pixels as labels': (
        'dark_zurich',
        every_label(lambda path: (train_ids(path.name) < 3).astype(np.uint8)),
        'val night',
        "The labels of val night, e.g. '{root}/gt/val/night/GOPR0356/"
        "GOPR0356_frame_000321_gt_labelTrainIds.png', hold the values 0, 1 and 255 alone; these "
        f'look like invIds, the masks of invalid pixels: {TRAIN_IDS}; take the '
        "'_gt_labelTrainIds.png' files of the published archive.",
    ),
    'the mask of invalid pixels in place of one label': (
        'dark_zurich',
        mask_as_label([VAL_LABEL], 'invIds'),
        'val night',
        "The label '{root}/"
        + VAL_LABEL
        + "' equals '{root}/"
        + VAL_LABEL.replace('labelTrainIds', 'invIds')
        + f"', its mask of invalid pixels: {TRAIN_IDS}; remove the label and unpack its archive "
        'again.',
    ),
    'the mask of invalid pixels encoded anew in place of one label': (
        'acdc',
        mask_as_label([ACDC_LABEL], 'invIds', dict(compress_level=0)),
        'val night',
        "The label '{root}/"
        + ACDC_LABEL
        + "' equals '{root}/"
        + ACDC_LABEL.replace('labelTrainIds', 'invIds')
        + f"', its mask of invalid pixels: {TRAIN_IDS}; remove the label and unpack its archive "
        'again.',
    ),
    'grey masks of invalid pixels in place of all labels': (
        'dark_zurich',
        mask_as_label([FIRST_VAL_LABEL, VAL_LABEL], 'invGray'),
        'val night',
        "The label '{root}/"
        + FIRST_VAL_LABEL
        + "' equals '{root}/"
        + FIRST_VAL_LABEL.replace('labelTrainIds', 'invGray')
        + f"', its mask of invalid pixels: {TRAIN_IDS}; remove the label and unpack its archive "
        'again. (1 more like it.)',
    ),
    'an image of another size': (
        'acdc',
        lambda root: [
            write_image(
                root / f'rgb_anon/night/test/{ACDC_NIGHT["test"][0]}_rgb_anon.png', (32, 16)
            )
        ],
        'test night',
        "The image '{root}/rgb_anon/night/test/GOPR0364/GOPR0364_frame_000001_rgb_anon.png' has "
        'not the published size (found 32x16): expected 64x32; use the published images, the '
        'configs resize them.',
    ),
    'a label of another size': (
        'bdd100k',
        label(f'labels/sem_seg/masks/{BDD_NIGHT[1]}.png', SMALL + 2),
        'night',
        "The label '{root}/labels/sem_seg/masks/" + BDD_NIGHT[1] + ".png' has 32x16 pixels, but "
        "its image '{root}/images/10k/" + BDD_NIGHT[1] + ".jpg' has 64x32: expected equal sizes; "
        'unpack both archives again.',
    ),
    'half a PNG': (
        'cityscapes',
        truncate(CITY),
        'train',
        "The file '{root}/" + CITY + "' cannot be read (*): expected a whole PNG or JPEG image; "
        'remove it and unpack its archive again.',
    ),
    'half a JPEG': (
        'bdd100k',
        truncate(f'images/10k/{BDD_NIGHT[2]}.jpg'),
        'night',
        "The file '{root}/images/10k/" + BDD_NIGHT[2] + ".jpg' cannot be read (*): expected a "
        'whole PNG or JPEG image; remove it and unpack its archive again.',
    ),
    'a PNG without its closing chunk': (
        'cityscapes',
        lambda root: (root / CITY).write_bytes((root / CITY).read_bytes()[:-12]),
        'train',
        "The file '{root}/"
        + CITY
        + "' cannot be read (its closing chunk is missing): expected a whole PNG "
        'or JPEG image; remove it and unpack its archive again.',
    ),
    'no image at all': (
        'dark_zurich',
        text(NIGHT, b'<html>404</html>'),
        'train night',
        "The file '{root}/" + NIGHT + "' cannot be read (no image header): expected a whole PNG or "
        'JPEG image; remove it and unpack its archive again.',
    ),
    'an empty file': (
        'dark_zurich',
        text(NIGHT, b''),
        'train night',
        "The file '{root}/" + NIGHT + "' cannot be read (no image header): expected a whole PNG or "
        'JPEG image; remove it and unpack its archive again.',
    ),
    'a reference frame of Dark Zurich in a split': (
        'dark_zurich',
        picture('rgb_anon/val/night/GOPR0356/GOPR0356_frame_000321_ref_rgb_anon.png'),
        'val night',
        "The reference frame '{root}/rgb_anon/val/night/GOPR0356/"
        "GOPR0356_frame_000321_ref_rgb_anon.png' lies in '{root}/rgb_anon/val/night': expected "
        'images of the split alone; move reference frames back to their own folder.',
    ),
    'a reference frame of ACDC in a split': (
        'acdc',
        picture('rgb_anon/night/train/X/X_frame_000001_rgb_ref_anon.png'),
        'train night',
        "The reference frame '{root}/rgb_anon/night/train/X/X_frame_000001_rgb_ref_anon.png' lies "
        "in '{root}/rgb_anon/night/train': expected images of the split alone; move reference "
        'frames back to their own folder.',
    ),
    'an image without reference frame': (
        'dark_zurich',
        move(VAL_REFERENCE, VAL_REFERENCE.replace('000324', '000999')),
        'val night',
        "The image '{root}/" + VAL + "' has no reference frame in '{root}/rgb_anon/val_ref': "
        'expected one for every image; unpack the archive again.',
    ),
    'no pair list': (
        'dark_zurich',
        remove(PAIRS),
        'pairs',
        "The pair list '{root}/" + PAIRS + "' does not exist: expected 4 lines night,day; make it, "
        '`' + PREPARE + ' dark_zurich --root {root}`.',
    ),
    'a day image of the pairs is missing': (
        'dark_zurich',
        remove(DAY),
        'pairs',
        "The day image '{root}/" + DAY + "' of the pair list '{root}/" + PAIRS + "' does not "
        'exist: expected both images of every pair; unpack Dark_Zurich_train_anon.zip again.',
    ),
    'a night is in no pair': (
        'dark_zurich',
        lines(lambda rows: rows[:-1]),
        'pairs',
        "The night image '{root}/rgb_anon/train/night/GP010376/GP010376_frame_000001_rgb_anon.png' "
        "is in no pair of '{root}/" + PAIRS + "': expected all 4 night images; remove the list and "
        'make it anew, `' + PREPARE + ' dark_zurich --root {root}`.',
    ),
    'pairs other than the shipped ones': (
        'dark_zurich',
        lines(lambda rows: [*rows[:-1], rows[-1].replace('000610', '000611')]),
        'pairs',
        "The pair list '{root}/" + PAIRS + "' differs from the pairs in "
        "'{root}/corresp/train/night', e.g. in 'train/night/GP010376/GP010376_frame_000001,"
        "train/day/GP010374/GP010374_frame_000610': expected the same pairs; remove the list and "
        'make it anew, `' + PREPARE + ' dark_zurich --root {root}`. (1 more like it.)',
    ),
    'a twilight is in no pair': (
        'dark_zurich',
        lines(lambda rows: rows[:-1], TWILIGHT_PAIRS),
        'twilight pairs',
        "The twilight image '{root}/rgb_anon/train/twilight/GP010375/GP010375_frame_000001_rgb_anon.png' "
        "is in no pair of '{root}/"
        + TWILIGHT_PAIRS
        + "': expected all 2 twilight images; remove the list and "
        'make it anew, `' + PREPARE + ' dark_zurich --root {root}`.',
    ),
    'a twilight that does not exist': (
        'dark_zurich',
        lines(lambda rows: [rows[0].replace('000001,', '000009,'), *rows[1:]], TWILIGHT_PAIRS),
        'twilight pairs',
        "The twilight image '{root}/rgb_anon/train/twilight/GOPR0348/GOPR0348_frame_000009_rgb_anon.png' of the "
        "pair list '{root}/"
        + TWILIGHT_PAIRS
        + "' does not exist: expected both images of every pair; unpack "
        'Dark_Zurich_train_anon.zip again.',
    ),
    'columns of the pairs swapped': (
        'dark_zurich',
        lines(lambda rows: [','.join(reversed(row.split(','))) for row in rows]),
        'pairs',
        "Line 1 of the pair list '{root}/" + PAIRS + "' names the day image first: expected "
        'night,day; swap the columns.',
    ),
    'no list of BDD100K-night': (
        'bdd100k',
        remove(STEMS),
        'night',
        "The list '{root}/" + STEMS + "' cannot be read (No such file or directory): expected the "
        '3 stems of night; run `' + PREPARE + ' bdd100k --root {root} --list '
        'images_trainval_night_correct_filenames.txt`.',
    ),
    'an image of BDD100K-night is missing': (
        'bdd100k',
        remove(f'images/10k/{BDD_NIGHT[2]}.jpg'),
        'night',
        "The image '{root}/images/10k/" + BDD_NIGHT[2] + ".jpg' of the list '{root}/" + STEMS + "' "
        'does not exist: expected images of train and of val; unpack bdd100k_images_10k.zip again.',
    ),
    'a name twice in BDD100K-night': (
        'bdd100k',
        text(STEMS, f'{BDD_NIGHT[0]}\n{BDD_NIGHT[0]}\n{BDD_NIGHT[1]}\n{BDD_NIGHT[2]}\n'.encode()),
        'night',
        "Line 2 of the list '{root}/"
        + STEMS
        + "' names '"
        + BDD_NIGHT[0]
        + "' again after line 1: "
        'expected every image once; take the line out.',
    ),
    'a short list of BDD100K-night': (
        'bdd100k',
        text(STEMS, f'{BDD_NIGHT[0]}\n{BDD_NIGHT[2]}\n'.encode()),
        'night',
        "The list '{root}/" + STEMS + "' names 2 images: expected 3, 2 of train, 1 of val; move it "
        'away and run `' + PREPARE + ' bdd100k --root {root} --list '
        'images_trainval_night_correct_filenames.txt`.',
    ),
    'another list of BDD100K': (
        'bdd100k',
        text(STEMS, b'b1c66a42-6f7d68ca.jpg\n'),
        'night',
        "Line 1 of the list '{root}/"
        + STEMS
        + "' is 'b1c66a42-6f7d68ca.jpg': expected an image such "
        "as 'seg/images/train/00aad4a0-ee8135fe.jpg' or 'train/00aad4a0-ee8135fe'; use "
        'images_trainval_night_correct_filenames.txt, which the repositories of MGCDA and Refign '
        'hold.',
    ),
    'an image of train in val': (
        'cityscapes',
        lambda root: shutil.copy(
            root / CITY,
            root / 'leftImg8bit/val/frankfurt/frankfurt_000001_000019_leftImg8bit.png',
        ),
        'train / val',
        'Cityscapes train (3 images) and Cityscapes val (2) share 1 by hash of the file (1) or of '
        "the pixels (0), e.g. '{root}/" + CITY + "' is '{root}/leftImg8bit/val/frankfurt/"
        "frankfurt_000001_000019_leftImg8bit.png': expected splits that share no frame; unpack the "
        'set again.',
    ),
    'a root that does not exist': (
        'acdc',
        lambda root: shutil.rmtree(root),
        'root',
        "The root '{root}' does not exist: expected the folders of ACDC-night; prepare it from "
        'rgb_anon_trainvaltest.zip and gt_trainval.zip (docs/data.md).',
    ),
    'the root of another set': (
        'night_driving',
        lambda root: [shutil.rmtree(root), MAKERS['acdc'](root)],
        'root',
        "The root '{root}' looks like ACDC-night, not Nighttime Driving: expected "
        "'leftImg8bit/test/night'; name it with acdc={root}.",
    ),
}
