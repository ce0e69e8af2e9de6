"""A curriculum as its config lists it: trainings and labellings in order, each with the command that makes it.

The config is that of the last training; its variable ``curriculum`` lists the stages.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ..datasets.night_labels import LABEL_MANIFEST
from ..errors import UserInputError
from ..runtime.command_line import NAMED_BY_CHECKPOINT, load_config
from ..runtime.file_digest import file_digest, listing_digest
from ..runtime.override_syntax import format_override
from .pseudo_labels.night_images import training_nights

#: Variable of the config that lists the stages.
KEY = 'curriculum'
#: Settings of the two kinds of stages.
_TRAINING = frozenset({'name', 'train', 'start', 'labels', 'options'})
_LABELLING = frozenset({'name', 'label', 'checkpoint', 'config', 'threshold', 'refine', 'options'})
_DATA = 'train_dataloader.dataset'
#: A training set of day-night pairs: its only part, whose nights have labels.
_TARGET = 'target'


@dataclass(frozen=True)
class Tools:
    """The programs that the stages run.

    Attributes:
        train: ``tools/train.py``.
        dist_train: ``tools/dist_train.sh``.
        label: ``tools/pseudo_label.py``.
    """

    train: str
    dist_train: str
    label: str

    @classmethod
    def of(cls, folder: str | os.PathLike[str]) -> Tools:
        """The tools of a folder."""
        names = ('train.py', 'dist_train.sh', 'pseudo_label.py')
        return cls(*(str(Path(folder) / name) for name in names))


class TakenLabels(NamedTuple):
    """Labels that a training reads.

    Attributes:
        folder: Where they are.
        made_by: Checkpoint that made them.
        folder_key: Setting of the config that names the folder.
        made_by_key: Setting of the config that names the checkpoint.
    """

    folder: Path
    made_by: str
    folder_key: str
    made_by_key: str


@dataclass(frozen=True)
class Stage:
    """One training or labelling.

    Attributes:
        name: Its folder below that of the curriculum.
        config: Config file of the network that is trained or that labels.
        folder: Where it writes.
        checkpoint: What it starts from, or what labels.
        product: File that it leaves: the last checkpoint, or the manifest of the labels.
        settings: SHA-256 of its settings.
        options: Overrides of its config.
        labels: Of a training: the labels that it reads.
        images: Of a labelling: folder or list of the images; empty for the nights of the config's list; None for a
            training.
        threshold: Of a labelling: how sure a prediction must be, ``'none'``, ``'median'`` or ``'fixed VALUE'``.
        refine: Of a labelling: settings of what changes the predictions before they are labels.
    """

    name: str
    config: str
    folder: Path
    checkpoint: str
    product: Path
    settings: str
    options: Mapping[str, Any] = field(default_factory=dict)
    labels: Sequence[TakenLabels] = ()
    images: str | None = None
    threshold: str = 'none'
    refine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_training(self) -> bool:
        """Whether it trains; else it labels."""
        return self.images is None

    def command(self, tools: Tools, gpus: int = 1, is_resumed: bool = False) -> list[str]:
        """Command line that makes the stage.

        Args:
            tools: The programs.
            gpus: Number of processes.
            is_resumed: Whether a training goes on from its newest checkpoint.
        """
        if not self.is_training:
            return self._label_command(tools, gpus)
        start = [sys.executable, tools.train, self.config]
        if gpus > 1:
            start = ['bash', tools.dist_train, self.config, str(gpus)]
        resume = ['--resume'] if is_resumed else []
        options: dict[str, Any] = {'load_from': self.checkpoint}
        for labels in self.labels:
            options |= {labels.folder_key: str(labels.folder), labels.made_by_key: labels.made_by}
        options |= self.options
        words = [format_override(key, value) for key, value in options.items()]
        return [*start, '--work-dir', str(self.folder), *resume, '--cfg-options', *words]

    def _label_command(self, tools: Tools, gpus: int) -> list[str]:
        start = [sys.executable, tools.label]
        launcher: list[str] = []
        if gpus > 1:
            run = ['-m', 'torch.distributed.run', '--standalone', f'--nproc_per_node={gpus}']
            start, launcher = [sys.executable, *run, tools.label], ['--launcher', 'pytorch']
        words = [self.config, self.checkpoint, '--out', str(self.folder)]
        words += ['--images', self.images] if self.images else []
        words += ['--threshold', *self.threshold.split(), *launcher]
        for option, settings in (('--refine', self.refine), ('--cfg-options', self.options)):
            if settings:
                words += [option, *(format_override(key, value) for key, value in settings.items())]
        return [*start, *words]

    def inputs(self) -> dict[str, str]:
        """What the stage is made from, by a name for people; all files must be there.

        A checkpoint counts by its content, images by their names and sizes, labels by their manifest, a config by its
        settings.
        """
        found = {'checkpoint': file_digest(self.checkpoint), 'config': self.settings}
        if self.images is not None:
            found['list of images'] = (
                listing_digest(self.images) if self.images else self._digest_of_nights()
            )
            for key, value in self.refine.items():
                path = str(value)
                if os.path.isfile(path):
                    found[f'refine.{key}'] = file_digest(path)
                elif os.path.isdir(path):
                    found[f'refine.{key}'] = listing_digest(path)
                else:
                    found[f'refine.{key}'] = path
        for labels in self.labels:
            found[f'version of {labels.folder.name}'] = file_digest(labels.folder / LABEL_MANIFEST)
        return found

    def _digest_of_nights(self) -> str:
        """SHA-256 of the names and sizes of the nights of the config's list."""
        nights = training_nights(load_config(self.config, self.options, NAMED_BY_CHECKPOINT))
        sizes = {n: os.path.getsize(p) if os.path.isfile(p) else 0 for n, p in nights.items()}
        lines = [f'{name}\0{size}\n' for name, size in sorted(sizes.items())]
        return hashlib.sha256(''.join(lines).encode()).hexdigest()


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
            come before it, or a config, a checkpoint or a folder of images is missing.
    """
    entries = load_config(path).get(KEY)
    if not isinstance(entries, list) or not entries:
        raise UserInputError(
            f'the config {path!r} has no stages: expected a list {KEY}=[dict(name=..., train=...), ...]; take the '
            'config of DMAda, GCMA, MGCDA or BDL-LAB, or train it with tools/train.py'
        )
    stages: dict[str, Stage] = {}
    for number, entry in enumerate(entries):
        where = f'{KEY}[{number}] of the config {path!r}'
        _check_entry(entry, where, stages)
        if 'train' in entry:
            stage = _training(entry, where, Path(work_dir), stages, options or {})
        else:
            stage = _labelling(entry, where, Path(work_dir), stages)
        stages[stage.name] = stage
    return list(stages.values())


def _check_entry(entry: Any, where: str, before: Mapping[str, Stage]) -> None:
    """Check the names of the settings of a stage."""
    is_mapping = isinstance(entry, Mapping)
    if not is_mapping or ('train' in entry) == ('label' in entry) or 'name' not in entry:
        raise UserInputError(
            f'{where} is {entry!r}: expected dict(name=..., train=CONFIG, start=...) or dict(name=..., label=IMAGES, '
            'checkpoint=...); correct it'
        )
    allowed = _TRAINING if 'train' in entry else _LABELLING
    needed = {'start'} if 'train' in entry else {'checkpoint'}
    for name in sorted(set(entry) - allowed):
        near = difflib.get_close_matches(name, sorted(allowed), n=1)
        raise UserInputError(
            f'{where} has {name!r}, which nothing reads: expected '
            f'{repr(near[0]) if near else "one of " + ", ".join(sorted(allowed))}; correct it'
        )
    for name in sorted(needed - set(entry)):
        raise UserInputError(
            f'{where} has no {name!r}: expected what the stage is made from; add it'
        )
    name = entry['name']
    if not isinstance(name, str) or not name.replace('_', '').replace('-', '').isalnum():
        raise UserInputError(
            f'{where} has name={name!r}: expected letters, digits, "_" and "-", because a folder gets it; rename it'
        )
    if name in before:
        raise UserInputError(
            f'{where}: a stage before it is {name!r}, too: expected two names; rename one'
        )


def _training(
    entry: Mapping[str, Any],
    where: str,
    work_dir: Path,
    before: Mapping[str, Stage],
    options: Mapping[str, Any],
) -> Stage:
    options = {**(entry.get('options') or {}), **options}
    config = load_config(entry['train'], options)
    names, labels = _part_names(config), []
    for part, name in (entry.get('labels') or {}).items():
        if part not in names:
            raise UserInputError(
                f'{where}: labels are for the part {part!r}, but the parts of {entry["train"]!r} are {names}: '
                'expected one of them; correct it'
            )
        if name not in before or before[name].is_training:
            raise UserInputError(
                f'{where}: labels of the part {part!r} are from {name!r}: expected a labelling that stands before it, '
                f'{[stage.name for stage in before.values() if not stage.is_training]}; correct it'
            )
        keys = (f'{_DATA}.{_TARGET}.night_label_dir', f'{_DATA}.{_TARGET}.night_labels_of')
        if part != _TARGET:
            key = f'{_DATA}.parts.{names.index(part)}.dataset'
            keys = (f'{key}.data_prefix.seg_map_path', f'{key}.made_by')
        labels.append(TakenLabels(before[name].folder, before[name].checkpoint, *keys))
    folder = work_dir / entry['name']
    product = folder / f'iter_{config.train_cfg.max_iters}.pth'
    start = _checkpoint(entry['start'], where, 'start', before)
    settings = _digest(config)
    return Stage(entry['name'], entry['train'], folder, start, product, settings, options, labels)


def _labelling(
    entry: Mapping[str, Any],
    where: str,
    work_dir: Path,
    before: Mapping[str, Stage],
) -> Stage:
    config = entry.get('config')
    if config is None and entry['checkpoint'] in before:
        config = before[entry['checkpoint']].config
    if config is None:
        raise UserInputError(
            f'{where} has no config: expected that of the network in {entry["checkpoint"]!r}, because no stage trains '
            'it; add config=...'
        )
    options, threshold = entry.get('options') or {}, str(entry.get('threshold', 'none'))
    loaded = load_config(config, options, NAMED_BY_CHECKPOINT)
    settings = _digest(loaded, threshold)
    images = '' if entry['label'] is None else str(entry['label'])
    if not images:
        training_nights(loaded)  # names what is missing
    elif not os.path.exists(images):
        raise UserInputError(
            f'{where}: the images {images!r} do not exist: expected a folder or a list of the images to label; put or '
            'link the data there, or correct label'
        )
    refine = dict(entry.get('refine') or {})
    if 'guide' in refine:
        refine['guide'] = _checkpoint(refine['guide'], where, 'refine.guide', before)
    if 'pairs' in refine and not os.path.exists(refine['pairs']):
        raise UserInputError(
            f'{where}: the pairs {refine["pairs"]!r} do not exist: expected the list that names the day image of each '
            'image, or a folder of such lists; unpack the data set there, or correct refine.pairs'
        )
    folder = work_dir / entry['name']
    return Stage(
        entry['name'],
        config,
        folder,
        _checkpoint(entry['checkpoint'], where, 'checkpoint', before),
        folder / LABEL_MANIFEST,
        settings,
        options,
        images=images,
        threshold=threshold,
        refine=refine,
    )


def _checkpoint(name: str, where: str, key: str, before: Mapping[str, Stage]) -> str:
    """The checkpoint that a stage before leaves, or a file."""
    if name in before and before[name].is_training:
        return str(before[name].product)
    if os.path.isfile(name):
        return str(name)
    trainings = [stage.name for stage in before.values() if stage.is_training]
    raise UserInputError(
        f'{where}: {key} is {name!r}, which is neither a training that stands before it ({trainings}) nor a file: '
        'expected a checkpoint; train the source-only stage first, or correct it'
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
