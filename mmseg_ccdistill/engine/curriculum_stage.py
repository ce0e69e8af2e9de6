"""One stage of a curriculum: the command that makes it, and what it is made from."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ..datasets.night_labels import LABEL_MANIFEST
from ..runtime.command_line import NAMED_BY_CHECKPOINT, load_config
from ..runtime.file_digest import file_digest, listing_digest
from ..runtime.override_syntax import format_override
from .pseudo_labels.night_images import training_nights


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
