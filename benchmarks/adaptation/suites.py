"""The suites: which configs each trains, how long, and on which sets it measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmengine.config import Config

from benchmarks.adaptation.rows import GROUPS, ROWS
from benchmarks.repository import ROOT
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night.frames import Night

CONFIGS = ROOT / 'configs'

#: What every ablation is written for; the other networks take its assignments over.
PAPER_CONFIG = 'ccdistill/refinenet_r101_cs2dz.py'


@dataclass(frozen=True)
class Suite:
    """What a suite trains and on which sets it measures.

    Attributes:
        title: For the head of the report.
        configs: Config below ``configs`` of each network: ``'source'``, ``'full'``, ``'matched'``, some ``'plus'``,
            ``'oracle'`` and those of :data:`RIVALS`; ``'continued'`` where source-only goes on with another config
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
            'adaptsegnet_multi': 'adaptsegnet/refinenet_small_mini_day2night_multi-level.py',
            'advent': 'advent/refinenet_small_mini_day2night.py',
            'minent': 'advent/refinenet_small_mini_day2night_minent.py',
            'udaclustering': 'udaclustering/refinenet_small_mini_day2night.py',
            'bdl_lab': 'bdl_lab/refinenet_small_mini_day2night_ssl1.py',
            'dmada': 'dmada/refinenet_small_mini_day2night.py',
            'gcma': 'gcma/refinenet_small_mini_day2night.py',
            'mgcda': 'mgcda/refinenet_small_mini_day2night.py',
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
            'dannet': 'dannet/refinenet_efficientnet-lite0_mini_day2night.py',
            'adaptsegnet': 'adaptsegnet/refinenet_efficientnet-lite0_mini_day2night.py',
            'adaptsegnet_multi': 'adaptsegnet/refinenet_efficientnet-lite0_mini_day2night_multi-level.py',
            'advent': 'advent/refinenet_efficientnet-lite0_mini_day2night.py',
            'minent': 'advent/refinenet_efficientnet-lite0_mini_day2night_minent.py',
            'udaclustering': 'udaclustering/refinenet_efficientnet-lite0_mini_day2night.py',
            'bdl_lab': 'bdl_lab/refinenet_efficientnet-lite0_mini_day2night_ssl1.py',
            'dmada': 'dmada/refinenet_efficientnet-lite0_mini_day2night.py',
            'gcma': 'gcma/refinenet_efficientnet-lite0_mini_day2night.py',
            'mgcda': 'mgcda/refinenet_efficientnet-lite0_mini_day2night.py',
        },
        4000,
        1000,
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
            'adaptsegnet': 'adaptsegnet/refinenet_small_camvid_day2night.py',
            'adaptsegnet_multi': 'adaptsegnet/refinenet_small_camvid_day2night_multi-level.py',
            'advent': 'advent/refinenet_small_camvid_day2night.py',
            'minent': 'advent/refinenet_small_camvid_day2night_minent.py',
            'udaclustering': 'udaclustering/refinenet_small_camvid_day2night.py',
            'dannet': 'dannet/refinenet_small_camvid_day2night.py',
            'bdl_lab': 'bdl_lab/refinenet_small_camvid_day2night_ssl1.py',
        },
        1200,
        600,
        (0, 1, 2),
        ('night', 'dusk'),
        'day',
    ),
    'two_cities': Suite(
        'real frames, two cities, from ImageNet weights',
        {
            'source': 'refinenet/refinenet_efficientnet-lite0_two-cities.py',
            'continued': 'refinenet/refinenet_efficientnet-lite0_two-cities_continued.py',
            'full': 'ccdistill/refinenet_efficientnet-lite0_two-cities_day2night.py',
            'matched': 'ccdistill/refinenet_efficientnet-lite0_two-cities_day2night_matched.py',
            'plus': 'ccdistill/refinenet_efficientnet-lite0_two-cities_day2night_plus.py',
        },
        4000,
        1000,
        (0, 1, 2),
        ('night', 'dusk'),
        'day',
        source_points=8,
        cost=1.4,
    ),
    'cs2dz': Suite(
        'Cityscapes to Dark Zurich, DZ-val',
        {
            'source': 'refinenet/refinenet_r101_cityscapes.py',
            'full': PAPER_CONFIG,
            'matched': 'ccdistill/refinenet_r101_cs2dz_matched.py',
            'plus': 'ccdistill/refinenet_r101_cs2dz_plus.py',
            'dannet': 'dannet/refinenet_r101_cs2dz.py',
            'adaptsegnet': 'adaptsegnet/refinenet_r101_cs2dz.py',
            'adaptsegnet_multi': 'adaptsegnet/refinenet_r101_cs2dz_multi-level.py',
            'advent': 'advent/refinenet_r101_cs2dz.py',
            'minent': 'advent/refinenet_r101_cs2dz_minent.py',
            'udaclustering': 'udaclustering/refinenet_r101_cs2dz.py',
            'bdl_lab': 'bdl_lab/refinenet_r101_cs2dz_ssl1.py',
            'dmada': 'dmada/refinenet_r101_cs2dz.py',
            'gcma': 'gcma/refinenet_r101_cs2dz.py',
            'mgcda': 'mgcda/refinenet_r101_cs2dz.py',
        },
        None,
        None,
        (0,),
        is_long=True,
    ),
}


def has_row(suite: Suite, name: str) -> bool:
    """Whether a suite has what a row needs: a config of its network, and rendered worlds for an oracle of labels.

    Args:
        suite: The suite.
        name: Name of the row.
    """
    row = ROWS[name]
    needed = {row.network, *([ROWS[row.as_costly_as].network] if row.as_costly_as else [])}
    return needed <= set(suite.configs) and (suite.is_rendered or row.group != 'oracles')


def choose_rows(names: Sequence[str], suite: Suite) -> list[str]:
    """Rows of a suite, in the order of the tables.

    Args:
        names: Names of rows or of groups (:data:`GROUPS`), or ``'all'``.
        suite: The suite.

    Returns:
        Names of rows.

    Raises:
        UserInputError: If a name is no row and no group, or the suite has no such row, or none of such a group.
    """
    there = [name for name in ROWS if has_row(suite, name)]
    groups = {group: [name for name in there if ROWS[name].group == group] for group in GROUPS}
    groups['all'] = there
    filled = [group for group, rows in groups.items() if rows]
    for name in names:
        if name not in filled and name not in there:
            raise UserInputError(
                f'--rows: this suite has no row {name!r}; expected {", ".join([*filled, *there])}'
            )
    chosen = {row for name in names for row in groups.get(name, [name])}
    return [name for name in there if name in chosen]


def lengths_of(suite: Suite, source_iters: int | None, adapt_iters: int | None) -> tuple[int, int]:
    """Iterations of the source stage and of each row: as given, else the suite's, else the config's."""

    def length(given: int | None, default: int | None, network: str) -> int:
        config = Config.fromfile(str(CONFIGS / suite.configs[network]))
        return given or default or int(config.train_cfg.max_iters)

    return (
        length(source_iters, suite.source_iters, 'source'),
        length(adapt_iters, suite.adapt_iters, 'full'),
    )
