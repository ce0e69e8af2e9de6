"""The kinds of bad input: how each is made, and what its sentence must name."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

_SIZE = (48, 64)


class Kind(NamedTuple):
    """A kind of bad input.

    Attributes:
        name: What is wrong.
        spoil: Makes it so in the folder of a run.
        file: Pattern of the name that the sentence must hold.
        expected: Pattern of what was expected.
        fix: Pattern of how to fix it.
    """

    name: str
    spoil: Callable[[Path], object]
    file: str
    expected: str
    fix: str


def config(old: str, new: str) -> Callable[[Path], object]:
    """Replace text of the config."""

    def spoil(run: Path) -> None:
        text = (run / 'tiny.py').read_text()
        assert old in text
        (run / 'tiny.py').write_text(text.replace(old, new))

    return spoil


def content(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """Change the bytes of a file."""
    return lambda run: (run / name).write_bytes(change((run / name).read_bytes()))


def label(values: np.ndarray) -> Callable[[Path], object]:
    """Write another label."""
    return lambda run: cv2.imwrite(str(run / 'data/labels/3.png'), values)


def listed(text: bytes) -> Callable[[Path], object]:
    """Let a list name the images."""

    def spoil(run: Path) -> None:
        (run / 'data/list.txt').write_bytes(text)
        config("    img_suffix='.png',", "    img_suffix='.png', ann_file='list.txt',")(run)
        config('indices=[0, 1, 3, 4, 5], ', '')(run)

    return spoil


def folder_in_place_of(name: str) -> Callable[[Path], object]:
    """Put a folder where a file belongs."""

    def spoil(run: Path) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return spoil


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


_IMAGE, _LABEL = 'data/images/3.png', 'data/labels/3.png'
PAGE = b'<!DOCTYPE html><html>403 Forbidden</html>'
_IDS = r'class ids 0\.\.18 and 255'

DATA = [
    Kind(
        'data root missing',
        lambda run: os.rename(run / 'data', run / 'moved'),
        r"/data'",
        'expected a folder',
        'set data_root',
    ),
    Kind(
        'image folder missing',
        lambda run: os.rename(run / 'data/images', run / 'data/pictures'),
        r"data/images'",
        'expected',
        'correct data_prefix',
    ),
    Kind(
        'label folder missing',
        lambda run: os.rename(run / 'data/labels', run / 'data/gt'),
        r"data/labels'",
        'expected',
        'correct data_prefix',
    ),
    Kind(
        'no image of that suffix',
        config("img_suffix='.png'", "img_suffix='.tiff'"),
        r"data/images'",
        r"end in '\.tiff'",
        'correct img_suffix',
    ),
    Kind(
        'no label of that suffix',
        config("seg_map_suffix='.png'", "seg_map_suffix='_gt.png'"),
        r"labels/0_gt\.png'",
        'expected one label for every image',
        'correct seg_map_suffix',
    ),
    Kind(
        'list missing',
        config("img_suffix='.png',", "img_suffix='.png', ann_file='none.txt',"),
        r"none\.txt'",
        'expected the file names',
        'set ann_file',
    ),
    Kind(
        'list empty',
        listed(b''),
        r"list\.txt'",
        'expected one line for every sample',
        'set ann_file',
    ),
    Kind(
        'list names what is not there',
        listed(b'0\n77\n'),
        r"images/77\.png'",
        'expected every image',
        'out of the list',
    ),
    Kind(
        'list is no text', listed(b'\x89PNG\r\n\xff\xfe\x00'), r"list\.txt'", 'expected', 'ann_file'
    ),
    Kind(
        'label missing',
        lambda run: (run / _LABEL).unlink(),
        r"labels/3\.png'",
        'expected one label',
        'restore it',
    ),
    Kind(
        'image empty',
        content(_IMAGE, lambda data: b''),
        r"images/3\.png'",
        'expected a whole PNG',
        'copy or download it again',
    ),
    Kind(
        'image cut off',
        content(_IMAGE, half),
        r"images/3\.png'",
        'expected a whole PNG',
        'copy or download it again',
    ),
    Kind(
        'image without its last chunk',
        content(_IMAGE, lambda data: data[:-12]),
        r"images/3\.png'",
        'expected a whole PNG',
        'copy or download it again',
    ),
    Kind(
        'image is a web page',
        content(_IMAGE, lambda data: PAGE),
        r"images/3\.png'",
        'expected a whole PNG',
        'copy or download it again',
    ),
    Kind(
        'image is zeros',
        content(_IMAGE, lambda data: bytes(len(data))),
        r"images/3\.png'",
        'expected a whole PNG',
        'copy or download it again',
    ),
    Kind(
        'image gone that indices name',
        lambda run: (run / _IMAGE).unlink(),
        r"data/images'",
        'expected all of them',
        'correct indices',
    ),
    Kind(
        'label is a folder',
        folder_in_place_of(_LABEL),
        r"labels/3\.png'",
        'expected one label',
        'restore it',
    ),
    Kind(
        'label cut off',
        content(_LABEL, half),
        r"labels/3\.png'",
        'expected a whole PNG',
        'copy or download it again',
    ),
    Kind(
        'label is a web page',
        content(_LABEL, lambda data: PAGE),
        r"labels/3\.png'",
        'expected a whole PNG',
        'copy or download it again',
    ),
    Kind(
        'label in colour',
        label(np.full((*_SIZE, 3), 7, np.uint8)),
        r"labels/3\.png'",
        _IDS,
        'convert its colours',
    ),
    Kind(
        'label of labelIds',
        label(np.full(_SIZE, 24, np.uint8)),
        r"labels/3\.png'",
        _IDS,
        'convert it',
    ),
    Kind(
        'label of grey levels',
        label(np.full(_SIZE, 200, np.uint8)),
        r"labels/3\.png'",
        _IDS,
        'convert it',
    ),
    Kind(
        'label of instances',
        label(np.full(_SIZE, 26003, np.uint16)),
        r"labels/3\.png'",
        _IDS,
        'convert it',
    ),
    Kind(
        'label of another size',
        label(np.zeros((24, 32), np.uint8)),
        r"labels/3\.png'",
        'expected equal sizes',
        'replace one',
    ),
    Kind(
        'unknown dataset',
        config("type='CityscapesDataset'", "type='CityscapeDataset'"),
        r"tiny\.py'",
        'expected a name of the registry',
        'CityscapesDataset',
    ),
    Kind(
        'unknown setting of a dataset',
        config("    img_suffix='.png',", "    img_suffixx='.png',"),
        r"tiny\.py'",
        "'img_suffixx'",
        'correct',
    ),
]

# Images and labels that are whole and show something else than what is loaded.


def renumbered_label(run: Path) -> None:
    """Number the greys of a label anew, as tools that make PNG files smaller do."""
    picture = Image.fromarray(np.tile(np.array([1, 0], np.uint8), (48, 32)))
    picture.putpalette([255, 255, 255, 10, 10, 10])
    picture.save(run / _LABEL)


def upside_down_image(run: Path) -> None:
    """Tell that an image is stored upside down."""
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(run / _IMAGE) as image:
        image.save(run / _IMAGE, exif=exif)


def of_200_megapixels(data: bytes) -> bytes:
    """Tell another size in the header of a PNG."""
    header = b'IHDR' + struct.pack('>II', 20000, 10000) + data[24:29]
    return data[:12] + header + struct.pack('>I', zlib.crc32(header)) + data[33:]


DATA += [
    Kind(
        'label of renumbered greys',
        renumbered_label,
        r"labels/3\.png'",
        'expected every index to be its own grey',
        r"convert\('L'\)",
    ),
    Kind(
        'image turned by EXIF',
        upside_down_image,
        r"images/3\.png'",
        'expected an image without one',
        'removes the tag',
    ),
    Kind(
        'image too large',
        content(_IMAGE, of_200_megapixels),
        r"images/3\.png'",
        r'is too large: expected at most 178956970 pixels \(the limit of Pillow\)',
        'make it smaller',
    ),
]

#: Met where the config is read or its data sets are built.
CONFIG = [
    Kind(
        'config missing',
        lambda run: (run / 'tiny.py').unlink(),
        r"'tiny\.py'",
        'does not exist',
        'give the path',
    ),
    Kind(
        'config is a folder',
        folder_in_place_of('tiny.py'),
        r"'tiny\.py'",
        'is a folder',
        'give the path',
    ),
    Kind(
        'config is no program',
        config('norm = dict(', 'norm = = dict('),
        r"'tiny\.py'",
        'expected',
        'correct',
    ),
    Kind(
        'config uses an unknown name',
        config("norm = dict(type='BN')", 'norm = nrom'),
        r"'tiny\.py'",
        "'nrom'",
        'correct',
    ),
    Kind(
        'base missing',
        config('default_runtime.py', 'default_runtimes.py'),
        r'default_runtimes\.py',
        'expected',
        'correct',
    ),
    Kind(
        'module to import missing',
        config("'provoke'", "'no_such_module'"),
        r"'tiny\.py'",
        'no_such_module',
        'correct',
    ),
    Kind(
        'unknown transform',
        config("type='LoadAnnotations'", "type='LoadAnnotation'"),
        r"tiny\.py'",
        'expected a name of the registry',
        'LoadAnnotations',
    ),
]

#: Met where the model is built.
MODEL = [
    Kind(
        'unknown backbone',
        config("type='ResNet'", "type='ResNett'"),
        r"tiny\.py'",
        'expected a name of the registry',
        'ResNet',
    ),
    Kind(
        'unknown setting of the model',
        config('concat_input=False', 'concat_inputs=False'),
        r"tiny\.py'",
        "'concat_inputs'",
        'correct',
    ),
    Kind('type left out', config("type='EncoderDecoder',", ''), r"tiny\.py'", 'type', 'correct'),
]

# Settings that nothing reads: the config would train as if they were not there.
CONFIG += [
    Kind(
        'slip in a top-level name',
        config('param_scheduler = [', 'param_schedulers = ['),
        r"tiny\.py'",
        "expected 'param_scheduler'",
        'correct the name',
    ),
    Kind(
        'unknown setting of a data loader',
        config('    batch_size=2,', '    batch_size=2, batchsize=2,'),
        r"tiny\.py' has train_dataloader\.batchsize",
        "such as 'batch_size'",
        'correct the name',
    ),
    Kind(
        'unknown setting of a metric',
        config("iou_metrics=['mIoU']", "iou_metric=['mIoU']"),
        r"tiny\.py' has val_evaluator\.iou_metric:",
        "such as 'iou_metrics'",
        'correct the name',
    ),
]

# Classes of the data that are not those of the model.
MODEL += [
    Kind(
        'head of another number of classes',
        config('num_classes=19', 'num_classes=12'),
        r'model\.decode_head\.num_classes is 12',
        'expected equal numbers',
        r'set model\.decode_head\.num_classes=19',
    ),
    Kind(
        'one class',
        config("    img_suffix='.png',", "    img_suffix='.png', metainfo=dict(classes=['road']),"),
        r'_dataloader\.dataset',
        'expected two or more',
        'make the rest a class, too',
    ),
    Kind(
        'balanced weights for an order of its own',
        lambda run: (
            config(
                "    img_suffix='.png',",
                "    img_suffix='.png', metainfo=dict(classes=__import__('mmseg').utils.cityscapes_classes()[::-1]),",
            )(run),
            config(
                "type='WeightedCrossEntropyLoss'",
                "type='WeightedCrossEntropyLoss', class_weight='balanced'",
            )(run),
        ),
        r'model\.decode_head\.loss_decode',
        'expected the same names in the same order',
        r'set model\.decode_head\.loss_decode\.classes',
    ),
]

# What would show at the first test, hours later, or in the middle of building the optimizer.
CONFIG += [
    Kind(
        'windows without a stride',
        config("test_cfg=dict(mode='whole')", "test_cfg=dict(mode='slide', crop_size=(32, 32))"),
        r"tiny\.py' has model\.test_cfg\.mode='slide' and stride=None",
        'expected two positive whole numbers',
        r'set model\.test_cfg\.crop_size and model\.test_cfg\.stride',
    ),
    Kind(
        'windows that leave gaps',
        config(
            "test_cfg=dict(mode='whole')",
            "test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(32, 48))",
        ),
        r"tiny\.py' has model\.test_cfg\.stride=\(32, 48\)",
        'expected a stride of at most the window',
        r'make model\.test_cfg\.stride smaller',
    ),
    Kind(
        'unknown way to predict',
        config("test_cfg=dict(mode='whole')", "test_cfg=dict(mode='slides')"),
        r"tiny\.py' has model\.test_cfg\.mode='slides'",
        "expected 'whole' or 'slide'",
        'set it',
    ),
    Kind(
        'multiplier of no weight decay',
        config(
            "optimizer=dict(type='SGD'",
            "paramwise_cfg=dict(norm_decay_mult=0.0), optimizer=dict(type='SGD'",
        ),
        r"tiny\.py' has optim_wrapper\.paramwise_cfg\.norm_decay_mult",
        'expected a number',
        r'set optim_wrapper\.optimizer\.weight_decay',
    ),
    Kind(
        'multiplier that is no number',
        config(
            "optimizer=dict(type='SGD'",
            "paramwise_cfg=dict(custom_keys=dict(norm=0.0)), optimizer=dict(type='SGD'",
        ),
        r"tiny\.py' has optim_wrapper\.paramwise_cfg\.custom_keys\.norm=0\.0",
        'expected a dict',
        'correct it',
    ),
]
