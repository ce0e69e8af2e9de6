"""The rows of the paper's Table 3 as configs and stages, for the small networks and for ResNet-101."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from benchmarks.adaptation.measure import Evaluation
from benchmarks.adaptation.unseen import UnseenSet, UnseenTest
from benchmarks.repository import ROOT
from benchmarks.stages import Stage
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night.frames import Night
from mmseg_ccdistill.mini_night.world_manifest import day_part
from mmseg_ccdistill.runtime.atomic_file import write_atomically
from mmseg_ccdistill.runtime.override_syntax import parse_overrides

CONFIGS = ROOT / 'configs'

#: What every ablation is written for; the other networks take its assignments over.
PAPER_CONFIG = 'ccdistill/refinenet_r101_cs2dz.py'

#: Names that no row may have: the folder of the source stage, and what ``--rows`` takes for several rows.
RESERVED = ('source', 'headline', 'ablations', 'beyond', 'table1', 'all')

#: How often the night set is measured in a training, for the learning curves.
NUM_VALIDATIONS = 6


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    Attributes:
        title: Its name in the tables.
        published: Its name in the paper's Table 3; None if it is not there.
        ablation: File below ``configs`` whose assignments it adds to the full config; None: none.
        network: ``'full'`` for CCDistill's config, ``'matched'`` for that of matched distillation, ``'plus'`` for that
            with self-training, one of :data:`TABLE_1` for that of another method, ``'source'`` and ``'oracle'`` for
            those that train one network.
        options: Config overrides of a variant, as ``--cfg-options`` takes them.
    """

    title: str
    published: str | None = None
    ablation: str | None = None
    network: str = 'full'
    options: Mapping[str, Any] = field(default_factory=dict)


def _ablation(title: str, published: str, ending: str) -> Row:
    return Row(title, published, f'ccdistill/ablations/refinenet_r101_cs2dz_{ending}.py')


#: Rows by name, in the order of the tables.
ROWS = {
    'source_only': Row('source-only', 'RefineNet', network='source'),
    'wo_cdc_cds': _ablation('w/o CDC and CDS', 'w/o CDC and CDS', 'wo-cdc-cds'),
    'full': Row('full CCDistill', 'Ours'),
    'matched': Row('matched distillation', network='matched'),
    'oracle': Row('oracle (labels of T_n)', network='oracle'),
    'wo_cdc': _ablation('w/o CDC', 'w/o CDC', 'wo-cdc'),
    'wo_projection_head': _ablation(
        'w/o projection head', 'w/o project head in CDC', 'wo-projection-head'
    ),
    'wo_js': _ablation('w/o L_JS', 'w/o L_JS in CDC', 'wo-js'),
    'wo_illuminance': _ablation('w/o illuminance', 'w/o illuminance correlation', 'wo-illuminance'),
    'wo_inherent': _ablation('w/o inherent', 'w/o inherent correlation', 'wo-inherent'),
    'wo_cds': _ablation('w/o CDS', 'w/o CDS', 'wo-cds'),
    'wo_lab': _ablation('w/o LAB transfer', 'w/o LAB-based Trans', 'wo-lab'),
    'reverse_js': Row(
        'lambda on the repulsion', None, 'ccdistill/refinenet_r101_cs2dz_reverse-js.py'
    ),
    'js_mean': Row('L_JS as a mean', options={'model.loss_cdc.js_positions': 1}),
    'standardized': Row(
        'standardised head', None, 'ccdistill/refinenet_r101_cs2dz_standardized.py'
    ),
}

#: What turns each part of the config with self-training off.
_OFF: dict[str, dict[str, Any]] = {
    'distillation': {'model.loss_cdc': None, 'model.loss_cds': None, 'model.projection_head': None},
    'rare': {'train_dataloader.sampler.rare_classes': None},
    'lights': {'train_dataloader.dataset.pipeline.1.prob': 0.0},
}


def _self_training(title: str, off: Sequence[str] = ('rare', 'lights'), **settings: Any) -> Row:
    """A row of the config with self-training: some parts off, other settings of the rest."""
    options = {key: value for part in off for key, value in _OFF[part].items()}
    options |= {f'model.self_training.{key}': value for key, value in settings.items()}
    return Row(title, network='plus', options=options)


_NIGHT = ('night',)
ROWS |= {
    'plus': Row('matched distillation and self-training', network='plus'),
    'st': _self_training('self-training of M_n', learners=_NIGHT),
    'st_day': _self_training('self-training of M_d', learners=('day',)),
    'st_both': _self_training('self-training of both'),
    'st_alone': _self_training(
        'self-training of M_n, w/o CDC and CDS', ('distillation', 'rare', 'lights'), learners=_NIGHT
    ),
    'st_no_labels': _self_training('st, pastes alone', learners=_NIGHT, pseudo_weight=0.0),
    'st_no_paste': _self_training('st, no pastes', learners=_NIGHT, paste=None),
    'st_things': _self_training(
        'st, half and all things pasted', learners=_NIGHT, paste='half+things'
    ),
    'st_night_teacher': _self_training('st, night teacher alone', learners=_NIGHT, fusion='night'),
    'st_day_teacher': _self_training('st, day teacher alone', learners=_NIGHT, fusion='day'),
    'st_refign': _self_training("st, Refign's fusion", learners=_NIGHT, fusion='refign'),
    'st_no_parallax': _self_training('st, no search for parallax', learners=_NIGHT, parallax=0),
    'st_confidence': _self_training(
        'st, weight by confidence', learners=_NIGHT, **{'weight.form': 'confidence'}
    ),
    'st_ratio': _self_training('st, weight by ratio', learners=_NIGHT, **{'weight.form': 'ratio'}),
    'st_lag_999': _self_training('st, lag of 999 iterations', learners=_NIGHT, lag=999),
    'st_keep_static': _self_training('st, L_pseudo kept', learners=_NIGHT, keep_pseudo=True),
    'st_look': _self_training('st, jitter and blur', learners=_NIGHT, augment=True),
    'st_masked': _self_training('st, masked pass', learners=_NIGHT, masked_ratio=0.7),
    'st_unmasked': _self_training('st, the same pass unmasked', learners=_NIGHT, masked_ratio=0.0),
    'st_rare': _self_training('st, rare classes', ('lights',), learners=_NIGHT),
    'st_lights': _self_training('st, light on S_n', ('rare',), learners=_NIGHT),
}

#: Other methods of the paper's Table 1, by the name of their config in a suite.
TABLE_1 = ('adaptsegnet', 'advent', 'minent', 'dannet')
ROWS |= {
    name: Row(title, network=name)
    for name, title in zip(
        TABLE_1,
        ('AdaptSegNet, single level', 'ADVENT (AdvEnt)', 'ADVENT (MinEnt)', 'DANNet'),
        strict=True,
    )
}
BASELINE, SOURCE_ONLY, FULL, ORACLE = 'wo_cdc_cds', 'source_only', 'full', 'oracle'
MATCHED = 'matched'
HEADLINE = (SOURCE_ONLY, BASELINE, FULL, MATCHED, ORACLE)


def add_variants(variants: Mapping[str, Mapping[str, str]]) -> None:
    """Add rows of other settings to :data:`ROWS`.

    Args:
        variants: By name, overrides of the full config, values as text; ``'NAME:ROW'`` overrides that of another row.

    Raises:
        UserInputError: If the name is taken or reserved, or there is no such row.
        OverrideError: If a value cannot be read.
    """
    for name, options in variants.items():
        own, _, base = name.partition(':')
        if own in RESERVED:
            raise UserInputError(
                f'--variant {name}: {own!r} stands for something else here; take another name'
            )
        if ROWS.get(base or FULL) is None or not own.isidentifier():
            raise UserInputError(
                f'--variant {name}: expected NAME or NAME:ROW with a row of {", ".join(ROWS)}'
            )
        words = [f'{key}={value}' for key, value in options.items()]
        values = parse_overrides(words, f'--variant {name}')
        row = replace(ROWS[base or FULL], title=own, published=None, options=values)
        if ROWS.setdefault(own, row) != row:
            raise UserInputError(
                f'--variant {name}: there is a row {own!r} already; take another name'
            )


@dataclass(frozen=True)
class Suite:
    """What a suite trains and on which sets it measures.

    Attributes:
        title: For the head of the report.
        configs: Config below ``configs`` of each network: ``'source'``, ``'full'``, ``'matched'``, some ``'plus'``,
            ``'oracle'`` and those of :data:`TABLE_1`; ``'continued'`` where source-only goes on with another config
            than that of its stage.
        source_iters: Length of the shared source stage; None: as its config says.
        adapt_iters: Length of every row; None: as the full config says.
        seeds: Seeds when none are given.
        sets: Folders of ``val`` with night labels; empty: the config's own test set.
        day_set: Folder of ``val`` on which M_d is measured, if it is there.
        is_long: Whether a training that was cut short goes on from its newest checkpoint.
        is_rendered: Whether each seed has a rendered world of its own.
        night: Which night a rendered world has.
        source_points: How often the source stage is measured on its validation set (S by day), to show its plateau.
        cost: Time of an iteration on a CPU, relative to that of the small network.
    """

    title: str
    configs: Mapping[str, str]
    source_iters: int | None
    adapt_iters: int | None
    seeds: tuple[int, ...]
    sets: tuple[str, ...] = ()
    day_set: str | None = None
    is_long: bool = False
    is_rendered: bool = False
    night: Night = 'easy'
    source_points: int = 1
    cost: float = 1.0


SUITES = {
    'mini': Suite(
        'mini night: rendered streets',
        {
            'source': 'refinenet/refinenet_small_mini.py',
            'full': 'ccdistill/refinenet_small_mini_day2night.py',
            'matched': 'ccdistill/refinenet_small_mini_day2night_matched.py',
            'plus': 'ccdistill/refinenet_small_mini_day2night_plus.py',
            'dannet': 'dannet/refinenet_small_mini_day2night.py',
            'oracle': 'refinenet/refinenet_small_mini_oracle.py',
            'adaptsegnet': 'adaptsegnet/refinenet_small_mini_day2night.py',
            'advent': 'advent/refinenet_small_mini_day2night.py',
            'minent': 'advent/refinenet_small_mini_day2night_minent.py',
        },
        1200,
        600,
        (0, 1, 2, 3, 4),
        ('night',),
        'day',
        is_rendered=True,
    ),
    'pretrained': Suite(
        'mini night from ImageNet weights',
        {
            'source': 'refinenet/refinenet_efficientnet-lite0_mini.py',
            'continued': 'refinenet/refinenet_efficientnet-lite0_mini_continued.py',
            'full': 'ccdistill/refinenet_efficientnet-lite0_mini_day2night.py',
            'matched': 'ccdistill/refinenet_efficientnet-lite0_mini_day2night_matched.py',
            'plus': 'ccdistill/refinenet_efficientnet-lite0_mini_day2night_plus.py',
            'oracle': 'refinenet/refinenet_efficientnet-lite0_mini_oracle.py',
        },
        4000,
        1500,
        (0, 1, 2, 3, 4),
        ('night',),
        'day',
        is_rendered=True,
        night='hard',
        source_points=8,
        cost=1.4,
    ),
    'real': Suite(
        'real day and night frames',
        {
            'source': 'refinenet/refinenet_small_camvid.py',
            'full': 'ccdistill/refinenet_small_camvid_day2night.py',
            'matched': 'ccdistill/refinenet_small_camvid_day2night_matched.py',
        },
        1200,
        600,
        (0, 1, 2),
        ('night', 'dusk'),
        'day',
    ),
    'cs2dz': Suite(
        'Cityscapes to Dark Zurich, DZ-val',
        {
            'source': 'refinenet/refinenet_r101_cityscapes.py',
            'full': PAPER_CONFIG,
            'matched': 'ccdistill/refinenet_r101_cs2dz_matched.py',
            'plus': 'ccdistill/refinenet_r101_cs2dz_plus.py',
            'dannet': 'dannet/refinenet_r101_cs2dz.py',
        },
        None,
        None,
        (0,),
        is_long=True,
    ),
}


def choose_rows(names: Sequence[str], suite: Suite) -> list[str]:
    """Rows of a suite, in the order of the tables.

    Args:
        names: Names of rows, ``'headline'``, ``'ablations'`` (of the paper's method), ``'beyond'`` (with
            self-training), ``'table1'`` (other methods) or ``'all'``.
        suite: The suite.

    Returns:
        Names of rows.

    Raises:
        UserInputError: If a name is no row, or the suite has no such row.
    """
    there = [name for name, row in ROWS.items() if row.network in suite.configs]
    groups = {
        'headline': [name for name in there if name in HEADLINE],
        'ablations': [n for n in there if n not in HEADLINE and ROWS[n].network == 'full'],
        'beyond': [name for name in there if ROWS[name].network == 'plus'],
        'table1': [name for name in there if name in TABLE_1],
        'all': there,
    }
    for name in names:
        if name not in groups and name not in there:
            raise UserInputError(
                f'--rows: this suite has no row {name!r}; expected {", ".join([*groups, *there])}'
            )
    chosen = {row for name in names for row in groups.get(name, [name])}
    return [name for name in there if name in chosen]


def assignments(path: Path) -> str:
    """What a config file sets beside its bases, as it stands there.

    Args:
        path: Config file whose assignments name nothing of its bases.

    Returns:
        Its lines from the first assignment after ``_base_`` on.

    Raises:
        ValueError: If they do refer to a base.
    """
    text = path.read_text(encoding='utf-8')
    parts = []
    for node in ast.parse(text).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        names = {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}
        is_base = isinstance(node, ast.Assign) and '_base_' in ast.unparse(node.targets[0])
        if is_docstring or is_base:
            continue
        if '_base_' in names:
            raise ValueError(f'{path} refers to its base, so it holds for that base alone')
        parts.append(ast.get_source_segment(text, node) or '')
    return '\n'.join(parts)


def row_config(suite: Suite, name: str, folder: Path) -> str:
    """Config of a row: a file of the repository, or one that is written into ``folder``.

    Args:
        suite: The suite.
        name: Name of the row.
        folder: Where derived configs are kept.

    Returns:
        Path of the config; of a derived one it is absolute.
    """
    row = ROWS[name]
    network = 'continued' if row.network == 'source' else row.network
    base = CONFIGS / suite.configs.get(network, suite.configs[row.network])
    if row.network == 'source':  # measured at night on the way, as the other rows are
        text = '\n'.join(
            f'val_{part} = dict(_base_.test_{part}, _delete_=True)'
            for part in ('dataloader', 'evaluator')
        )
    elif row.ablation is None:
        return str(base.relative_to(ROOT))
    elif suite.configs['full'] == PAPER_CONFIG:
        return str((CONFIGS / row.ablation).relative_to(ROOT))
    else:
        text = assignments(CONFIGS / row.ablation)
    path = folder / f'{name}.py'
    content = f'"""Row {row.title!r}, derived."""\n\n_base_ = {[str(base)]!r}\n{text}\n'.encode()
    if not path.exists() or path.read_bytes() != content:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    return str(path)


def root_options(config: Config, roots: Mapping[str, Path]) -> dict[str, str]:
    """Overrides that move the data roots of a config.

    Args:
        config: Config whose data roots end in the keys of ``roots``, ``cityscapes`` or ``dark_zurich``.
        roots: The folders to take.

    Returns:
        Dotted keys and folders.
    """
    loaders = ('train_dataloader', 'val_dataloader', 'test_dataloader')
    found = [pair for key in loaders for pair in _data_roots(config[key], key)]
    return {key: str(roots[Path(old).name]) for key, old in found}


def _data_roots(node: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        for name, child in node.items():
            if name == 'data_root':
                yield f'{key}.{name}', child
            else:
                yield from _data_roots(child, f'{key}.{name}')


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


def seed_runs(
    suite: Suite,
    rows: Sequence[str],
    seed: int,
    roots: Mapping[str, Path],
    work_dir: Path,
    lengths: tuple[int, int],
    data: str = '',
    unseen: Sequence[UnseenSet] = (),
) -> SeedRuns:
    """Stages of one seed. All rows start from one source stage and have equal length.

    Args:
        suite: The suite.
        rows: Names of the rows.
        seed: Seed of the training.
        roots: Data roots, by ``cityscapes`` and ``dark_zurich``.
        work_dir: Folder of the runs, absolute.
        lengths: Iterations of the source stage and of each row.
        data: Manifest of the rendered world, which tells it from others in the same folders.
        unseen: Sets of other configs on which every row is tested.

    Returns:
        The stages.
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
            if loaded.model.type == 'CCDistillSegmentor':
                options['model.diagnostics_interval'] = 10
        options.update(overrides)
        known = data if start else day_part(data)  # the source stage reads no night
        return Stage(
            f'{folder}/{name}', config, iters, start, seed, options, known, resumable=suite.is_long
        )

    source_config = str((CONFIGS / suite.configs['source']).relative_to(ROOT))
    validation: dict[str, Any] = {}
    if suite.source_points > 1:
        validation['train_cfg.val_interval'] = max(lengths[0] // suite.source_points, 1)
    source = train('source', source_config, lengths[0], None, validation)
    trained = {
        name: train(
            name,
            row_config(suite, name, work_dir / 'configs'),
            lengths[1],
            source,
            ROWS[name].options,
        )
        for name in rows
    }
    evaluated = {
        name: Evaluation.of(stage, suite.sets, suite.day_set, name in (FULL, MATCHED))
        for name, stage in trained.items()
    }
    tests = {
        found.name: {name: UnseenTest.on(found, stage) for name, stage in trained.items()}
        for found in unseen
    }
    return SeedRuns(source, trained, evaluated, tests)


def lengths_of(suite: Suite, source_iters: int | None, adapt_iters: int | None) -> tuple[int, int]:
    """Iterations of the source stage and of each row: as given, else the suite's, else the config's."""

    def length(given: int | None, default: int | None, network: str) -> int:
        config = Config.fromfile(str(CONFIGS / suite.configs[network]))
        return given or default or int(config.train_cfg.max_iters)

    return (
        length(source_iters, suite.source_iters, 'source'),
        length(adapt_iters, suite.adapt_iters, 'full'),
    )
