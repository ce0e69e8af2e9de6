"""The rows of the tables: the paper's Table 3, self-training, and other methods of its Table 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.runtime.override_syntax import parse_overrides

#: Names that no row may have: the folder of the source stage, and what ``--rows`` takes for several rows.
RESERVED = ('source', 'headline', 'ablations', 'beyond', 'oracles', 'rivals', 'all')

#: Names of the groups that ``--rows`` takes: the main rows; parts of the paper's method; self-training; what target
#: labels would give; other methods.
GROUPS = ('headline', 'ablations', 'beyond', 'oracles', 'rivals')


@dataclass(frozen=True)
class Row:
    """One row of the tables.

    Attributes:
        title: Its name in the tables.
        published: Its name in the paper's Table 3; None if it is not there.
        ablation: File below ``configs`` whose assignments it adds to the full config; None: none.
        network: ``'full'`` for CCDistill's config, ``'matched'`` for that of matched distillation, ``'plus'`` for that
            with self-training, one of :data:`RIVALS` for that of another method, ``'source'`` and ``'oracle'`` for
            those that train one network.
        options: Config overrides of a variant, as ``--cfg-options`` takes them.
        group: One of :data:`GROUPS`, or ``'variants'``.
        base: Row whose config it goes on from, in place of that of its network.
        changes: File in the folder of this module whose assignments it adds.
        as_costly_as: Row whose FLOP it spends: it trains as much longer as its steps are cheaper. None: it trains as
            long as all others.
    """

    title: str
    published: str | None = None
    ablation: str | None = None
    network: str = 'full'
    options: Mapping[str, Any] = field(default_factory=dict)
    group: str = 'ablations'
    base: str | None = None
    changes: str | None = None
    as_costly_as: str | None = None


def _ablation(title: str, published: str, ending: str) -> Row:
    return Row(title, published, f'ccdistill/ablations/refinenet_r101_cs2dz_{ending}.py')


#: Rows by name, in the order of the tables.
ROWS = {
    'source_only': Row('source-only', 'RefineNet', network='source', group='headline'),
    'wo_cdc_cds': replace(
        _ablation('w/o CDC and CDS', 'w/o CDC and CDS', 'wo-cdc-cds'), group='headline'
    ),
    'full': Row('full CCDistill', 'Ours', group='headline'),
    'matched': Row('matched distillation', network='matched', group='headline'),
    'oracle': Row('oracle (labels of T_n)', network='oracle', group='headline'),
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
    """A row of the config with self-training: some parts off, other settings of the rest.

    Both networks learn and L_pseudo is handed over, unless the settings say otherwise; where M_d alone learns, L_pseudo
    stays.
    """
    options = {key: value for part in off for key, value in _OFF[part].items()}
    own = {'learners': ('night', 'day'), 'keep_pseudo': False, **settings}
    options |= {f'model.self_training.{key}': value for key, value in own.items()}
    return Row(title, network='plus', options=options, group='beyond')


def _no_teachers(title: str, *off: str) -> Row:
    """A row of the config with self-training, without its teachers and some other parts."""
    options = {key: value for part in off for key, value in _OFF[part].items()}
    options['model.self_training'] = None
    return Row(title, network='plus', options=options, group='beyond')


_NIGHT = ('night',)
ROWS |= {
    'plus': Row('matched distillation and self-training', network='plus', group='beyond'),
    'plus_handover': _self_training('plus, both learn, L_pseudo handed over', ()),
    'plus_both': _self_training('plus, both learn', (), keep_pseudo=True),
    'plus_both_confidence': _self_training(
        'plus, both learn, weight by confidence',
        (),
        keep_pseudo=True,
        **{'weight.form': 'confidence'},
    ),
    'wo_cdc_cds_long': Row(
        'w/o CDC and CDS, compute of plus_handover',
        group='beyond',
        base='wo_cdc_cds',
        as_costly_as='plus_handover',
    ),
    'wo_self_training': _no_teachers('plus without self-training'),
    'wo_cdc_cds_rare_lights': _no_teachers(
        'w/o CDC and CDS, with rare classes and light on S_n', 'distillation'
    ),
    'matched_rare': _no_teachers('matched distillation with rare classes', 'lights'),
    'matched_lights': _no_teachers('matched distillation with light on S_n', 'rare'),
    'st': _self_training('self-training of M_n', learners=_NIGHT),
    'st_day': _self_training('self-training of M_d', learners=('day',), fusion=None, parallax=None),
    'st_both': _self_training('self-training of both'),
    'st_alone': _self_training(
        'self-training of M_n, w/o CDC and CDS', ('distillation', 'rare', 'lights'), learners=_NIGHT
    ),
    'st_no_labels': _self_training('st, pastes alone', learners=_NIGHT, pseudo_weight=0.0),
    'st_no_paste': _self_training('st, no pastes', learners=_NIGHT, paste=None),
    'st_things': _self_training(
        'st, half and all things pasted', learners=_NIGHT, paste='half+things'
    ),
    'st_night_teacher': _self_training(
        'st, night teacher alone', learners=_NIGHT, fusion='night', parallax=None
    ),
    'st_day_teacher': _self_training(
        'st, day teacher alone', learners=_NIGHT, fusion='day', parallax=None
    ),
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

#: Other methods of the paper's Table 1: title by the name of their row, and of their config in a suite.
RIVALS = {
    'adaptsegnet': 'AdaptSegNet, single level',
    'adaptsegnet_multi': 'AdaptSegNet, multi-level',
    'advent': 'ADVENT (AdvEnt)',
    'minent': 'ADVENT (MinEnt)',
    'udaclustering': 'UDAclustering',
    'dannet': 'DANNet',
    'bdl_lab': 'BDL-LAB',
    'dmada': 'DMAda',
    'gcma': 'GCMA',
    'mgcda': 'MGCDA',
}
#: Those that read twilight images.
TWILIGHT = ('dmada', 'gcma', 'mgcda')
#: Those that train in stages, with labellings between them.
IN_STAGES = ('bdl_lab', *TWILIGHT)
ROWS |= {name: Row(title, network=name, group='rivals') for name, title in RIVALS.items()}

#: Target labels that no unsupervised method has: where do the points lie that a method loses?
ORACLES = {
    'style': 'oracle: S rendered at night',
    'day': 'oracle: labels of T_d',
    'dynamic': 'oracle: dynamic labels of T_n',
}
ROWS |= {
    f'oracle_{name}{ending}': Row(
        f'{title}{on}',
        network='matched' if ending else 'full',
        group='oracles',
        base='matched' if ending else 'wo_cdc_cds',
        changes=f'oracles/{name}.py',
    )
    for ending, on in (('', ''), ('_matched', ', on matched'))
    for name, title in ORACLES.items()
}
BASELINE, SOURCE_ONLY, FULL, ORACLE = 'wo_cdc_cds', 'source_only', 'full', 'oracle'
MATCHED = 'matched'
HEADLINE = tuple(name for name, row in ROWS.items() if row.group == 'headline')


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
        row = replace(
            ROWS[base or FULL], title=own, published=None, options=values, group='variants'
        )
        if ROWS.setdefault(own, row) != row:
            raise UserInputError(
                f'--variant {name}: there is a row {own!r} already; take another name'
            )
