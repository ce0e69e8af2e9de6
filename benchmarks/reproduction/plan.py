"""The stages of a reproduction: two trainings, a test of each on every night set, and the zips for the servers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from benchmarks.repository import ROOT
from benchmarks.reproduction.data_roots import has_split, root_options
from benchmarks.stages import Stage
from mmseg_ccdistill.runtime.override_syntax import format_override

#: Night sets with public labels: name of ``tools/test_night.py`` -> set, its split, and the variables of its config.
TESTS = {
    'dz-val': ('dark_zurich', 'val night', 'dark_zurich_val'),
    'acdc-night-val': ('acdc', 'val night', 'acdc_night_val'),
    'bdd100k-night': ('bdd100k', 'night', 'bdd100k_night'),
    'night-driving': ('night_driving', 'test night', 'night_driving'),
}
#: Night sets whose labels are on a server: name of ``tools/submit.py`` -> set and split.
SUBMISSIONS = {
    'dz-test': ('dark_zurich', 'test night'),
    'acdc-night-test': ('acdc', 'test night'),
}
#: Names of the two trainings, and of their folders.
SOURCE, ADAPTATION = 'source', 'ccdistill'


def _options(stage: Stage) -> list[str]:
    words = [format_override(key, value) for key, value in stage.options.items()]
    return ['--cfg-options', *words] if words else []


@dataclass(frozen=True, eq=False)
class Training(Stage):
    """A training as its config says: length, schedule and checkpoints are the config's own."""

    def command(self, work_dir: Path) -> list[str]:
        """Command line of ``tools/train.py``."""
        start = {} if self.start is None else {'load_from': str(self.start.checkpoint(work_dir))}
        options = {**self.options, 'randomness.seed': self.seed, **start}
        return [
            *(sys.executable, str(ROOT / 'tools/train.py'), str(ROOT / self.config)),
            *('--work-dir', str(work_dir / self.name), '--cfg-options'),
            *(format_override(key, value) for key, value in options.items()),
        ]


@dataclass(frozen=True, eq=False)
class OfCheckpoint(Stage):
    """Something made of the last checkpoint of the training that it starts from; it has one step."""

    target: str = ''

    def finished(self, work_dir: Path) -> bool:
        """Whether it has been made of the checkpoint that lies there."""
        assert self.start is not None
        return self.start.finished(work_dir) and super().finished(work_dir)

    def steps_done(self, work_dir: Path) -> int:
        """It has one step."""
        return int(self.product(work_dir).exists())


@dataclass(frozen=True, eq=False)
class NightTest(OfCheckpoint):
    """The test on one night set."""

    def product(self, work_dir: Path) -> Path:
        """The table as JSON."""
        assert self.start is not None
        return work_dir / self.name / f'{self.start.checkpoint(work_dir).stem}_night.json'

    def command(self, work_dir: Path) -> list[str]:
        """Command line of ``tools/test_night.py``."""
        assert self.start is not None
        folder = str(work_dir / self.name)
        return [
            *(sys.executable, str(ROOT / 'tools/test_night.py'), str(ROOT / self.config)),
            *(str(self.start.checkpoint(work_dir)), '--sets', self.target),
            *('--out', folder, '--work-dir', folder, *_options(self)),
        ]


@dataclass(frozen=True, eq=False)
class Submission(OfCheckpoint):
    """The zip for the server of one set."""

    root: str = ''

    def product(self, work_dir: Path) -> Path:
        """The zip."""
        return work_dir / self.name / f'{self.target}.zip'

    def command(self, work_dir: Path) -> list[str]:
        """Command line of ``tools/submit.py``."""
        assert self.start is not None
        return [
            *(sys.executable, str(ROOT / 'tools/submit.py'), str(ROOT / self.config)),
            *(str(self.start.checkpoint(work_dir)), '--set', self.target),
            *('--out', str(self.product(work_dir)), '--data-root', self.root, *_options(self)),
        ]


def plan(source: str, adaptation: str, roots: Mapping[str, str], seed: int) -> list[Stage]:
    """All stages, in an order in which they can run one by one.

    Args:
        source: Config file of the source-only stage.
        adaptation: Config file of the adaptation.
        roots: Root by set.
        seed: Random seed of both trainings.

    Raises:
        UserInputError: If a config reads a set that was not given.
    """
    trainings: list[Stage] = []
    tests: list[Stage] = []
    for name, path in ((SOURCE, source), (ADAPTATION, adaptation)):
        config = Config.fromfile(str(ROOT / path))
        training = Training(
            name,
            os.path.abspath(ROOT / path),
            int(config.train_cfg.max_iters),
            trainings[0] if trainings else None,
            seed,
            root_options(config, roots, path),
            resumable=True,
        )
        trainings.append(training)
        for target, (key, split, variables) in TESTS.items():
            if has_split(roots, key, split):
                place = {f'{variables}_dataloader.dataset.data_root': roots[key]}
                stage = f'{name}_{target}'
                tests.append(
                    NightTest(stage, training.config, 1, training, seed, place, target=target)
                )
    last = trainings[-1]
    zips: list[Stage] = [
        Submission(
            f'submission_{target}', last.config, 1, last, seed, target=target, root=roots[key]
        )
        for target, (key, split) in SUBMISSIONS.items()
        if has_split(roots, key, split)
    ]
    return [*trainings, *tests, *zips]


def set_aside(stages: Sequence[Stage], work_dir: Path) -> None:
    """Rename what tests and submissions left that were cut short: the tools overwrite nothing.

    Args:
        stages: The stages.
        work_dir: Folder of the runs.
    """
    for stage in stages:
        product = stage.product(work_dir)
        if isinstance(stage, OfCheckpoint) and not stage.finished(work_dir):
            for path in (product, product.with_suffix('.md')):
                if path.exists():
                    stamp = time.strftime('%Y%m%d_%H%M%S')
                    path.rename(path.with_name(f'{path.stem}.{stamp}{path.suffix}'))
