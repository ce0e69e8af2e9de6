"""The stages of one seed: the shared source stage, and training, measuring and tests of every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks.adaptation.curriculum_rows import curriculum_run, listed_stages
from benchmarks.adaptation.measure import Evaluation
from benchmarks.adaptation.row_configs import root_options, row_config
from benchmarks.adaptation.row_costs import equal_length, row_cost
from benchmarks.adaptation.rows import FULL, MATCHED, ROWS
from benchmarks.adaptation.suites import CONFIGS, Suite
from benchmarks.adaptation.unseen import UnseenSet, UnseenTest
from benchmarks.repository import ROOT
from benchmarks.stages import Stage
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night.world_manifest import day_part

#: Segmentors with the diagnostics of CCDistill.
_CCDISTILL = ('CCDistillSegmentor', 'DayLabelOracle', 'DynamicLabelOracle')

#: How often the night set is measured in a training, for the learning curves.
NUM_VALIDATIONS = 3


@dataclass(frozen=True)
class SeedRuns:
    """Stages of one seed: the shared source stage, and training and evaluation of every row.

    ``unseen`` holds the tests on sets that no row has seen, by set and row.
    """

    source: Stage
    trained: Mapping[str, Stage]
    evaluated: Mapping[str, Evaluation]
    unseen: Mapping[str, Mapping[str, UnseenTest]] = field(default_factory=dict)

    def stages(self) -> list[Stage]:
        """All stages, each row's evaluation after its training, tests on unseen sets at the end."""
        pairs = zip(self.trained.values(), self.evaluated.values(), strict=True)
        tests = [test for by_row in self.unseen.values() for test in by_row.values()]
        return [self.source, *(stage for pair in pairs for stage in pair), *tests]


def check_free(common: Mapping[str, Any], own: Mapping[str, Any], name: str) -> None:
    """Refuse overrides of all stages that a stage sets itself, or that hold or lie in such a one.

    Args:
        common: Config overrides of all stages.
        own: Those that the stage has of itself.
        name: Name of the stage.

    Raises:
        UserInputError: If both set the same.
    """
    for key in common:
        for other in own:
            if f'{key}.'.startswith(f'{other}.') or f'{other}.'.startswith(f'{key}.'):
                raise UserInputError(
                    f'--cfg-options: {key}: the benchmark sets {other} of {name!r} itself; leave it out, or name a '
                    'row of other settings with --variant'
                )


def seed_runs(
    suite: Suite,
    rows: Sequence[str],
    seed: int,
    roots: Mapping[str, Path],
    work_dir: Path,
    lengths: tuple[int, int],
    data: str = '',
    unseen: Sequence[UnseenSet] = (),
    common: Mapping[str, Any] | None = None,
) -> SeedRuns:
    """Stages of one seed, whose rows start from one source stage.

    They have equal length; a row that says so has as much longer as it takes to spend the FLOP of another one. A row
    that trains in stages has that length over all of them.

    Args:
        suite: The suite.
        rows: Names of the rows.
        seed: Seed of the training.
        roots: Data roots, by ``cityscapes`` and ``dark_zurich``.
        work_dir: Folder of the runs, absolute.
        lengths: Iterations of the source stage and of each row.
        data: Manifest of the rendered world, which tells it from others in the same folders.
        unseen: Sets of other configs on which every row is tested.
        common: Config overrides of the source stage and of every row.

    Returns:
        The stages.

    Raises:
        UserInputError: If ``common`` names what a stage or a row sets itself.
    """
    folder = f'seed{seed}'

    def train(
        name: str, config: str, iters: int, start: Stage | None, overrides: Mapping[str, Any]
    ) -> Stage:
        loaded = Config.fromfile(str(ROOT / config))
        options: dict[str, Any] = root_options(loaded, roots)
        if start is not None:
            options['train_cfg.val_interval'] = max(iters // NUM_VALIDATIONS, 1)
        if suite.is_long:
            options['default_hooks.checkpoint.interval'] = min(
                loaded.default_hooks.checkpoint.interval, iters
            )
        else:
            options['default_hooks.checkpoint.save_optimizer'] = False
            if loaded.model.type in _CCDISTILL:
                options['model.diagnostics_interval'] = 10
        options.update(overrides)
        known = data if start else day_part(data)  # the source stage reads no night
        stage = Stage(
            f'{folder}/{name}', config, iters, start, seed, options, known, resumable=suite.is_long
        )
        check_free(common or {}, stage.settings(work_dir), name)
        return replace(stage, options={**options, **(common or {})})

    source_config = str((CONFIGS / suite.configs['source']).relative_to(ROOT))
    validation: dict[str, Any] = {}
    if suite.source_points > 1:
        validation['train_cfg.val_interval'] = max(lengths[0] // suite.source_points, 1)
    source = train('source', source_config, lengths[0], None, validation)

    def length(name: str) -> int:
        other = ROWS[name].as_costly_as
        if other is None:
            return lengths[1]
        own, spent = (
            row_cost(
                row_config(suite, row, work_dir / 'configs'),
                {**ROWS[row].options, **(common or {})},
                lengths[1],
            )
            for row in (name, other)
        )
        return equal_length(own, spent, lengths[1])

    def row(name: str) -> Stage:
        config, options = row_config(suite, name, work_dir / 'configs'), ROWS[name].options
        if not listed_stages(config):
            return train(name, config, length(name), source, options)

        def part(part_name: str, part_config: str, iters: int) -> Stage:
            stage = train(part_name, part_config, iters, source, options)
            return replace(stage, name=part_name)

        return curriculum_run(
            f'{folder}/{name}', config, length(name), source, part, roots, work_dir
        )

    trained = {name: row(name) for name in rows}
    evaluated = {
        name: Evaluation.of(stage, suite.sets, suite.day_set, name in (FULL, MATCHED))
        for name, stage in trained.items()
    }
    tests = {
        found.name: {name: UnseenTest.on(found, stage) for name, stage in trained.items()}
        for found in unseen
    }
    return SeedRuns(source, trained, evaluated, tests)
