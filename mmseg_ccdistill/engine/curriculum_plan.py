"""A curriculum as its config lists it: trainings and labellings in order, each with the command that makes it.

The config is that of the last training; its variable ``curriculum`` lists the stages.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..datasets.night_labels import LABEL_MANIFEST
from ..errors import UserInputError
from ..runtime.command_line import NAMED_BY_CHECKPOINT, load_config
from ..runtime.override_syntax import OverrideError, parse_overrides
from .curriculum_stage import Stage, TakenLabels, Tools
from .inference import unlabelled_pipeline
from .pseudo_labels.day_guide import read_day_guide
from .pseudo_labels.label_settings import classes_of
from .pseudo_labels.night_images import named_images, training_nights
from .pseudo_labels.thresholds import threshold_rule

#: Variable of the config that lists the stages.
KEY = 'curriculum'
#: Settings of the two kinds of stages.
_TRAINING = frozenset({'name', 'train', 'start', 'labels', 'options'})
_LABELLING = frozenset({'name', 'label', 'checkpoint', 'config', 'threshold', 'refine', 'options'})
#: Those that are dicts; the others are text. Those that may be None.
_DICTS = frozenset({'labels', 'options', 'refine'})
_OPTIONAL = _DICTS | {'label', 'config'}
#: What ``options`` and ``--cfg-options`` cannot set of a training.
_NAMED_BY_STAGE = {
    'load_from': "'start' of each stage names the checkpoint; correct it there",
    'resume': 'a curriculum goes on by itself; leave it out',
    'work_dir': '--work-dir names the folder of the stages; use it',
}
_DATA = 'train_dataloader.dataset'
#: A training set of day-night pairs: its only part, whose nights have labels.
_TARGET = 'target'


def read_plan(
    path: str, work_dir: str | os.PathLike[str], options: Mapping[str, Any] | None = None
) -> list[Stage]:
    """Read the stages of a curriculum and check that they fit together.

    Args:
        path: Config file with the variable ``curriculum``.
        work_dir: Folder of the curriculum.
        options: Overrides of every training, beside those of the stage.

    Returns:
        The stages in order.

    Raises:
        UserInputError: If the config has no stages, a stage has other settings than it should, names one that does not
            come before it, a config, a checkpoint or a folder of images is missing, a labelling would refuse its
            settings, or the command of a stage cannot be written.
    """
    entries = load_config(path).get(KEY)
    if not isinstance(entries, list) or not entries:
        raise UserInputError(
            f'the config {path!r} has no stages: expected a list {KEY}=[dict(name=..., train=...), ...]; take the '
            'config of DMAda, GCMA, MGCDA or BDL-LAB, or train it with tools/train.py'
        )
    stages: dict[str, Stage] = {}
    for number, entry in enumerate(entries):
        try:
            _check_entry(entry, stages)
            if 'train' in entry:
                stage = _training(entry, Path(work_dir), stages, options or {})
            else:
                stage = _labelling(entry, Path(work_dir), stages)
            _check_command(stage)
        except UserInputError as error:
            raise UserInputError(f'{KEY}[{number}] of the config {path!r}: {error}') from error
        stages[stage.name] = stage
    return list(stages.values())


def _check_command(stage: Stage) -> None:
    """Refuse options that the command line of the stage cannot hold."""
    try:
        command = stage.command(Tools.of(''))
    except OverrideError as error:
        raise UserInputError(
            f'{error}: expected numbers, switches, text and lists of these; write a dict as one option for each of its '
            'settings, KEY.NAME'
        ) from error
    if '--cfg-options' in command:
        parse_overrides(command[command.index('--cfg-options') + 1 :], 'options')


def _check_entry(entry: Any, before: Mapping[str, Stage]) -> None:
    """Check the names and the types of the settings of a stage."""
    is_mapping = isinstance(entry, Mapping)
    if not is_mapping or ('train' in entry) == ('label' in entry) or 'name' not in entry:
        raise UserInputError(
            f'{entry!r} is no stage: expected dict(name=..., train=CONFIG, start=...) or dict(name=..., label=IMAGES, '
            'checkpoint=...); correct it'
        )
    allowed = _TRAINING if 'train' in entry else _LABELLING
    needed = {'start'} if 'train' in entry else {'checkpoint'}
    for name in sorted(set(entry) - allowed):
        near = difflib.get_close_matches(name, sorted(allowed), n=1)
        raise UserInputError(
            f'it has {name!r}, which nothing reads: expected '
            f'{repr(near[0]) if near else "one of " + ", ".join(sorted(allowed))}; correct it'
        )
    for name in sorted(needed - set(entry)):
        raise UserInputError(f'it has no {name!r}: expected what the stage is made from; add it')
    for name, value in entry.items():
        kind, what = (Mapping, 'a dict') if name in _DICTS else (str, 'text')
        if not isinstance(value, kind) and not (value is None and name in _OPTIONAL):
            raise UserInputError(f'it has {name}={value!r}: expected {what}; correct it')
    name = entry['name']
    if not name.replace('_', '').replace('-', '').isalnum():
        raise UserInputError(
            f'it has name={name!r}: expected letters, digits, "_" and "-", because a folder gets it; rename it'
        )
    if name in before:
        raise UserInputError(f'a stage before it is {name!r}, too: expected two names; rename one')


def _training(
    entry: Mapping[str, Any],
    work_dir: Path,
    before: Mapping[str, Stage],
    options: Mapping[str, Any],
) -> Stage:
    options = {**(entry.get('options') or {}), **options}
    config = load_config(entry['train'], options, _NAMED_BY_STAGE)
    names, labels = _part_names(config), []
    for part, name in (entry.get('labels') or {}).items():
        if part not in names:
            raise UserInputError(
                f'labels are for the part {part!r}, but the parts of {entry["train"]!r} are {names}: expected one of '
                'them; correct it'
            )
        if name not in before or before[name].is_training:
            raise UserInputError(
                f'labels of the part {part!r} are from {name!r}: expected a labelling that stands before it, '
                f'{[stage.name for stage in before.values() if not stage.is_training]}; correct it'
            )
        keys = (f'{_DATA}.{_TARGET}.night_label_dir', f'{_DATA}.{_TARGET}.night_labels_of')
        if part != _TARGET:
            key = f'{_DATA}.parts.{names.index(part)}.dataset'
            keys = (f'{key}.data_prefix.seg_map_path', f'{key}.made_by')
        for key in sorted(options.keys() & keys):
            raise UserInputError(
                f"options or --cfg-options set {key!r}, but 'labels' of the stage name it: expected one of the two; "
                'leave the option out'
            )
        labels.append(TakenLabels(before[name].folder, before[name].checkpoint, *keys))
    folder = work_dir / entry['name']
    product = folder / f'iter_{config.train_cfg.max_iters}.pth'
    start = _checkpoint(entry['start'], 'start', before)
    settings = _digest(config)
    return Stage(entry['name'], entry['train'], folder, start, product, settings, options, labels)


def _labelling(entry: Mapping[str, Any], work_dir: Path, before: Mapping[str, Stage]) -> Stage:
    config = entry.get('config')
    if config is None and entry['checkpoint'] in before:
        config = before[entry['checkpoint']].config
    if config is None:
        raise UserInputError(
            f'it has no config: expected that of the network in {entry["checkpoint"]!r}, because no stage trains it; '
            'add config=...'
        )
    options, threshold = entry.get('options') or {}, entry.get('threshold', 'none')
    loaded = load_config(config, options, NAMED_BY_CHECKPOINT)
    images, refine = entry['label'] or '', dict(entry.get('refine') or {})
    if images and not os.path.exists(images):
        raise UserInputError(
            f'the images {images!r} do not exist: expected a folder or a list of the images to label; put or link the '
            'data there, or correct label'
        )
    if refine.get('guide'):
        refine['guide'] = _checkpoint(str(refine['guide']), 'refine.guide', before)
    threshold_rule(threshold.split())  # from here on: what tools/pseudo_label.py would refuse
    unlabelled_pipeline(loaded)
    found = named_images(images) if images else training_nights(loaded)
    if refine:
        read_day_guide(refine, found, len(classes_of(loaded)['classes']))
    folder = work_dir / entry['name']
    return Stage(
        entry['name'],
        config,
        folder,
        _checkpoint(entry['checkpoint'], 'checkpoint', before),
        folder / LABEL_MANIFEST,
        _digest(loaded, threshold),
        options,
        images=images,
        threshold=threshold,
        refine=refine,
    )


def _checkpoint(name: str, key: str, before: Mapping[str, Stage]) -> str:
    """The checkpoint that a stage before leaves, or a file."""
    if name in before and before[name].is_training:
        return str(before[name].product)
    if os.path.isfile(name):
        return str(name)
    trainings = [stage.name for stage in before.values() if stage.is_training]
    raise UserInputError(
        f'{key} is {name!r}, which is neither a training that stands before it ({trainings}) nor a file: expected a '
        'checkpoint; train the source-only stage first, or correct it'
    )


def _part_names(config: Config) -> list[str]:
    """Names of the parts of a ``MixedDataset``; of day-night pairs ``'target'``; of another training set none."""
    dataset = (config.get('train_dataloader') or {}).get('dataset') or {}
    if _TARGET in dataset:
        return [_TARGET]
    parts = dataset.get('parts') or []
    return [part.get('name', f'part{number}') for number, part in enumerate(parts)]


def _digest(config: Config, *more: str) -> str:
    """SHA-256 of settings, without the list of stages."""
    settings = config.to_dict()
    settings.pop(KEY, None)
    text = json.dumps([settings, *more], sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def stages_from(stages: Sequence[Stage], name: str) -> list[Stage]:
    """A stage and those after it.

    Args:
        stages: All stages.
        name: Name of one.

    Raises:
        UserInputError: If there is none of that name.
    """
    names = [stage.name for stage in stages]
    if name not in names:
        raise UserInputError(f'there is no stage {name!r}: expected one of {", ".join(names)}')
    return list(stages[names.index(name) :])
