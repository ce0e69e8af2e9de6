"""Scores of a run on labelled sets: found as files in its folder, or measured for a report."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import init_default_scope
from torch import from_numpy

from ..engine.inference import load_segmentor
from ..engine.label_prediction import predict_label_files
from ..engine.labelled_scenes import labelled_scene, name_and_size, test_set
from ..errors import UserInputError
from ..evaluation import NightIoUMetric, write_reports
from ..runtime.resume import newest_good_checkpoint
from ..visualization.panel import write_image
from ..visualization.scene_comparison import Scene, comparison_figure
from .run_folder import Run

#: Folder of a run with what was measured for its report.
MEASURED = 'report'
#: Pictures of the images with the lowest mIoU, and of some spread evenly over the set.
WORST, PANEL = 'worst.jpg', 'panel.jpg'
#: Images in each picture.
NUM_WORST, NUM_PANEL = 20, 4
_TILE = 300


def find_scores(folder: Path) -> list[dict[str, Any]]:
    """Scores that NightIoUMetric (``report_dir``), ``tools/test_night.py`` or a report has written into a run.

    Args:
        folder: Work dir.

    Returns:
        One entry for each set, as ``SetReport.to_dict`` writes it; of several files of one set the newest.
    """
    files = [*folder.glob('*.json'), *folder.glob('*/*.json'), *folder.glob('*/*/*.json')]
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(files, key=lambda file: file.stat().st_mtime):
        try:
            content = json.loads(file.read_text(encoding='utf-8'))
        except ValueError:  # a log of lines, or a file that is being written
            continue
        sets = content.get('sets') if isinstance(content, Mapping) else None
        for entry in sets if isinstance(sets, list) else []:
            if isinstance(entry, Mapping) and {'name', 'summary', 'classes'} <= entry.keys():
                found[entry['name']] = {**entry, 'checkpoint': content.get('checkpoint')}
    return list(found.values())


def worst_images(entry: Mapping[str, Any], count: int = NUM_WORST) -> list[tuple[str, float]]:
    """Images of a set with the lowest mIoU over the classes in their ground truth, the lowest first.

    Args:
        entry: One entry of :func:`find_scores`.
        count: How many at most.

    Returns:
        Path and percent; empty if the file lists no images.
    """
    scored = [
        (image['image'], image['mIoU'])
        for image in entry.get('per_image', ())
        if image['mIoU'] is not None
    ]
    return sorted(scored, key=lambda pair: pair[1])[:count]


def measure_scores(run: Run, checkpoint: str | None = None) -> None:
    """Predict the test set of a run's config, and write scores and pictures to ``report`` in its folder.

    Args:
        run: The run.
        checkpoint: Checkpoint file; None takes the newest whole one of the run.

    Raises:
        UserInputError: If there is no checkpoint, or no test set with ground truth that has a pixel of a class.
    """
    if checkpoint is None:
        choice = newest_good_checkpoint(run.folder)
        if choice.checkpoint is None:
            raise UserInputError(
                f'--evaluate: the run {str(run.folder)!r} holds no whole checkpoint; name one with --checkpoint'
            )
        checkpoint = str(choice.checkpoint)
    init_default_scope(run.config.get('default_scope', 'mmseg'))
    if not run.config.get('test_dataloader'):
        raise UserInputError(
            f'--evaluate: the config of {str(run.folder)!r} has no test_dataloader; leave --evaluate out'
        )
    dataset = test_set(run.config)
    if not dataset.get_data_info(0).get('seg_map_path'):
        raise UserInputError(
            f'--evaluate: the test set of {str(run.folder)!r} has no ground truth; leave --evaluate out'
        )
    name, size = name_and_size(run.config, dataset)
    meta, count = dataset.metainfo, len(dataset)
    metric = NightIoUMetric(name, size, with_uiou=False, ignore_index=dataset.ignore_index)
    metric.dataset_meta = dict(classes=tuple(meta['classes']))
    paths = [dataset.get_data_info(index)['img_path'] for index in range(count)]
    model = load_segmentor(run.config, checkpoint)
    title = f'Testing {run.folder.name}'
    for index, labels in enumerate(predict_label_files(model, run.config, paths, title)):
        scene = labelled_scene(dataset, index)
        assert scene.label is not None
        maps = dict(pred_sem_seg=labels.cpu(), gt_sem_seg=from_numpy(scene.label.astype(np.int64)))
        sample: dict[str, Any] = {key: dict(data=value[None]) for key, value in maps.items()}
        metric.process({}, [dict(sample, img_path=scene.path)])
    report = metric.make_report(metric.results)
    if not any(report.label_pixels):
        raise UserInputError(
            f'--evaluate: no label of the {count} images, e.g. of {paths[0]!r}, has a pixel of the '
            f'{len(meta["classes"])} classes, so there is no mIoU: expected trainIds; restore the labels, or leave '
            '--evaluate out'
        )
    stem = run.folder / MEASURED / 'test_set'
    write_reports([report], str(stem), report.title, run.folder.name, checkpoint=checkpoint)
    spread = np.linspace(0, count - 1, min(NUM_PANEL, count)).round().astype(int).tolist()
    worst = [path for path, _ in worst_images(report.to_dict())]
    for file, chosen in (
        (WORST, [paths.index(path) for path in worst]),
        (PANEL, sorted(set(spread))),
    ):
        scenes = [labelled_scene(dataset, index) for index in chosen]
        maps_of = _predict(model, run, scenes)
        figure = comparison_figure(
            scenes,
            [('Prediction', list(maps_of))],
            meta['classes'],
            meta['palette'],
            with_miou=True,
            with_errors=True,
            tile_width=_TILE,
        )
        write_image(str(stem.with_name(file)), figure)


def _predict(model: Any, run: Run, scenes: Sequence[Scene]) -> Iterator[np.ndarray]:
    files = [scene.path for scene in scenes]
    for labels in predict_label_files(model, run.config, files, 'Drawing'):
        yield labels.cpu().numpy().astype(np.uint8)
