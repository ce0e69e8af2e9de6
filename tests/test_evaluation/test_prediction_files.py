"""Names of predictions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmseg.registry import METRICS
from PIL import Image

from mmseg_ccdistill.evaluation.prediction_files import (
    PredictionFiles,
    PredictionNameError,
    check_names,
    prediction_path,
    root_of_images,
)


def sample(image: str, value: int, **meta: object) -> dict:
    data = torch.full((1, 2, 3), value)
    return dict(img_path=image, pred_sem_seg=dict(data=data), **meta)


def test_the_folders_below_the_root_are_kept() -> None:
    assert prediction_path('/d/a/0.x.jpg', 'out', '/d') == os.path.join('out', 'a', '0.x.png')
    assert prediction_path('/d/a/0.jpg', 'out', None) == os.path.join('out', '0.png')


@pytest.mark.parametrize(
    ('images', 'folders', 'root'),
    [
        (['/d/img/a/0.png', '/d/img/a/1.png'], ['/d/img'], '/d/img'),
        (['/d/one/0.png', '/d/two/0.png'], ['/d/one', '/d/two'], '/d'),  # two data sets in one
        (['/d/img/0.png', '/e/0.png'], ['/d/img'], '/'),  # a list that leaves the folder
        (['/d/img/0.png', '/d/img-2/0.png'], ['/d/img'], '/d'),
        (['/d/a/0.png', '/d/b/0.png'], [''], '/d'),
    ],
)
def test_the_root_is_above_every_image(images, folders, root) -> None:
    assert root_of_images(images, folders) == root
    paths = [prediction_path(image, '/out', root) for image in images]
    assert len(set(paths)) == len(images)
    assert all(os.path.abspath(path).startswith('/out/') for path in paths)


def test_names_that_meet_are_refused() -> None:
    check_names(['/d/a/0.png', '/d/b/0.png'], [], 'out', '/d')
    with pytest.raises(PredictionNameError) as info:
        check_names(['/d/a/0.png', '/d/a/0.jpg'], [], '/out', '/d')
    assert str(info.value) == (
        "the images '/d/a/0.png' and '/d/a/0.jpg' would have one prediction, '/out/a/0.png': expected a name "
        'of its own for every image; rename one, or predict them in two runs'
    )
    with pytest.raises(PredictionNameError) as info:
        check_names(['/d/img/0.jpg'], ['/d/img/0.jpg', '/d/gt/0.png'], '/d/gt', '/d/img')
    assert str(info.value) == (
        "the prediction of '/d/img/0.jpg' would replace the file '/d/gt/0.png' of the data: expected a folder "
        'of its own for predictions; name another'
    )


def test_predictions_are_written_as_labels(tmp_path: Path) -> None:
    metric = METRICS.build(
        dict(type='PredictionFiles', output_dir=str(tmp_path / 'out'), image_root='/d')
    )
    metric.process({}, [sample('/d/a/0.jpg', 3), sample('/d/b/0.jpg', 7, reduce_zero_label=True)])
    values = {}
    for path in sorted((tmp_path / 'out').rglob('*')):
        if path.is_file():
            with Image.open(path) as image:
                assert image.mode == 'L' and image.size == (3, 2)
                values[str(path.relative_to(tmp_path))] = set(np.unique(image))
    assert values == {'out/a/0.png': {3}, 'out/b/0.png': {8}}  # ids on disk begin at one there
    assert metric.evaluate(2) == {}


def test_without_a_root_a_second_image_of_one_name_is_refused(tmp_path: Path) -> None:
    metric = PredictionFiles(str(tmp_path))
    metric.process(
        {}, [sample('/d/a/0.jpg', 3), sample('/d/a/0.jpg', 3)]
    )  # padding repeats samples
    with pytest.raises(PredictionNameError, match="'/d/a/0.jpg' and '/d/b/0.jpg' would have one"):
        metric.process({}, [sample('/d/b/0.jpg', 7)])
