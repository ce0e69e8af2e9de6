"""Rows that train in stages: one stage of the suite that runs `tools/curriculum.py` with the data of its seed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks.adaptation.row_configs import moved_paths, root_options
from benchmarks.repository import ROOT
from benchmarks.stage_folder import DONE, STARTED
from benchmarks.stages import Stage, config_text
from mmseg_ccdistill.engine.curriculum_plan import KEY
from mmseg_ccdistill.reports.training_log import logged_steps
from mmseg_ccdistill.runtime.atomic_file import write_atomically

#: Makes a training from its name, config and length.
Train = Callable[[str, str, int], Stage]


@dataclass(frozen=True, eq=False)
class CurriculumRun(Stage):
    """The trainings and labellings that a config lists, as one stage.

    Attributes:
        trainings: The trainings in order; their names are folders below that of the run.
    """

    trainings: Sequence[Stage] = ()

    def checkpoint(self, work_dir: Path) -> Path:
        """Path of the last checkpoint of the last training."""
        return self.trainings[-1].checkpoint(work_dir / self.name)

    def fingerprint(self, work_dir: Path) -> str:
        """What the run depends on: that of a stage, and the configs of all trainings."""
        texts = [config_text(ROOT / training.config) for training in self.trainings]
        return hashlib.sha256(''.join([super().fingerprint(work_dir), *texts]).encode()).hexdigest()

    def steps_done(self, work_dir: Path) -> int:
        """Iterations that all trainings have logged."""
        return sum(logged_steps(work_dir / self.name / stage.name) for stage in self.trainings)

    def has_begun(self, work_dir: Path) -> bool:
        """Whether a part of the curriculum has begun."""
        records = (work_dir / self.name).glob('*.json')
        return any(path.name not in (STARTED, DONE) for path in records)

    def resumed(self, command: Sequence[str]) -> list[str]:
        """The same command: a curriculum goes on by itself."""
        return list(command)

    def command(self, work_dir: Path) -> list[str]:
        """Command line that runs the curriculum."""
        tool = [sys.executable, str(ROOT / 'tools/curriculum.py'), self.config]
        return [*tool, '--work-dir', str(work_dir / self.name)]


def listed_stages(config: str) -> list[dict[str, Any]]:
    """The stages that a config lists; none of a config that is trained by itself.

    Args:
        config: Config file, absolute or relative to the repository.
    """
    return list(Config.fromfile(str(ROOT / config)).to_dict().get(KEY) or ())


def curriculum_run(
    name: str,
    config: str,
    iters: int,
    source: Stage,
    train: Train,
    roots: Mapping[str, Path],
    work_dir: Path,
) -> CurriculumRun:
    """The run of a curriculum, with the data of a seed and from its source stage.

    Its trainings have ``iters`` iterations together, in the ratio of those in their configs. What a config names as a
    checkpoint is the source stage.

    Args:
        name: Folder below that of the runs.
        config: Config with the stages, relative to the repository.
        iters: Iterations of all trainings together.
        source: The source stage.
        train: Makes a training from its name, config and length.
        roots: Data roots.
        work_dir: Folder of the runs, absolute; the stages of this run are written to a config in its ``configs``.

    Returns:
        The run.
    """
    entries = listed_stages(config)
    configs = {entry['name']: entry['train'] for entry in entries if 'train' in entry}
    shares = [Config.fromfile(str(ROOT / path)).train_cfg.max_iters for path in configs.values()]
    lengths = split(iters, shares)
    trainings = {
        key: train(key, path, length)
        for (key, path), length in zip(configs.items(), lengths, strict=True)
    }
    last, start = trainings[entries[-1]['name']], str(source.checkpoint(work_dir))
    stages = []
    for entry in moved_paths(entries, Config.fromfile(str(ROOT / config)), roots):
        for part, key in ((entry, 'start'), (entry, 'checkpoint'), (entry.get('refine'), 'guide')):
            if part and key in part and part[key] not in configs:
                part[key] = start
        if 'train' in entry:
            options = trainings[entry['name']].settings(work_dir)
            for key in ('load_from', 'default_hooks.checkpoint.save_optimizer'):
                options.pop(
                    key, None
                )  # a curriculum names its starts, and goes on from any checkpoint
        else:
            path = entry.get('config') or configs[entry['checkpoint']]
            options = dict(root_options(Config.fromfile(str(ROOT / path)), roots))
        stages.append({**entry, 'options': options})
    derived = work_dir / 'configs' / f'{name.replace("/", "_")}.py'
    text = f'"""Stages of {name}, derived."""\n\n_base_ = {[str(ROOT / config)]!r}\n{KEY} = {stages!r}\n'
    if not derived.exists() or derived.read_text(encoding='utf-8') != text:
        derived.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(derived, text.encode())
    return CurriculumRun(
        name,
        str(derived),
        sum(stage.max_iters for stage in trainings.values()),
        source,
        last.seed,
        last.options,
        last.data,
        trainings=list(trainings.values()),
    )


def split(total: int, shares: Sequence[int]) -> list[int]:
    """Whole numbers in the ratio of the shares that add up to the total; at least 1 each.

    Args:
        total: What to split.
        shares: Positive numbers.
    """
    whole, done, parts = sum(shares), 0, []
    for index in range(len(shares)):
        upto = round(total * sum(shares[: index + 1]) / whole)
        parts.append(max(upto - done, 1))
        done = upto
    return parts
