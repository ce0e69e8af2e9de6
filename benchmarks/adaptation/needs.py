"""What a suite needs before it runs: its data, whether they are complete, its rendered worlds, its weights."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmseg.registry import MODELS

from benchmarks.adaptation.measure import loader_of
from benchmarks.adaptation.row_configs import root_options
from benchmarks.adaptation.rows import ROWS, TWILIGHT
from benchmarks.adaptation.suites import CONFIGS, Suite
from mmseg_ccdistill.engine.start_up_checks import check_data_roots
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night import write_mini_night

#: Rendered frames of one world (those of ``write_mini_night``), of which ``--share`` takes a part.
NUM_FRAMES = {
    'num_source_train': 240,
    'num_source_val': 40,
    'num_pairs': 160,
    'num_target_val': 40,
}

#: Changes of the rows that read the source at night.
NIGHT_SOURCE = 'oracles/style.py'


def roots_of(args: argparse.Namespace, seed: int) -> dict[str, Path]:
    """Data roots of a seed.

    Args:
        args: The command line.
        seed: The seed.

    Returns:
        Folders by ``cityscapes`` and ``dark_zurich``, in ``two_cities`` also ``kitti``, absolute.

    Raises:
        UserInputError: If the command line does not name them.
    """
    if args.suite == 'cs2dz':
        if args.cityscapes is None or args.dark_zurich is None:
            raise UserInputError(
                'cs2dz reads two data sets: name their folders with --cityscapes and --dark-zurich (docs/data.md)'
            )
        return {'cityscapes': args.cityscapes.resolve(), 'dark_zurich': args.dark_zurich.resolve()}
    if args.suite not in ('real', 'two_cities'):
        root = world_dir(args, seed)
    elif args.root is None:
        raise UserInputError(
            f'{args.suite} reads day and night frames: name the folder that holds cityscapes and dark_zurich with '
            '--root (docs/data.md)'
        )
    else:
        root = args.root.resolve()
    roots = {name: root / name for name in ('cityscapes', 'dark_zurich')}
    if args.suite == 'two_cities':
        roots['kitti'] = (args.kitti or root / 'kitti').resolve()
    return roots


def world_dir(args: argparse.Namespace, seed: int) -> Path:
    """Folder of a seed's rendered world."""
    return args.work_dir / 'worlds' / str(args.first_world + seed)


def check_roots(suite: Suite, roots: Mapping[str, Path], rows: Sequence[str] = ()) -> Suite:
    """Look for the folders, lists and images of every loader and measured set, before anything runs.

    Args:
        suite: The suite.
        roots: Data roots.
        rows: Names of the rows: some read twilight.

    Returns:
        The suite with the sets that are there. The first one must be; the day set counts if it is labelled.

    Raises:
        UserInputError: If something is missing; the message names it.
    """
    for folder in roots.values():
        if not folder.is_dir():
            raise UserInputError(
                f'the data folder {str(folder)!r} does not exist: expected the layout of docs/data.md'
            )
    dusk = [name for name in rows if ROWS[name].network in TWILIGHT]
    for part in ('rgb_anon/train/twilight', 'corresp/train/twilight') if dusk else ():
        if not (roots['dark_zurich'] / part).is_dir():
            raise UserInputError(
                f'the folder {str(roots["dark_zurich"] / part)!r} does not exist: expected the twilight images and '
                f'their day correspondences, which {", ".join(dusk)} read (docs/curriculum.md); unpack them there, or '
                'leave these rows out'
            )
    for network in ('source', 'full'):
        config = Config.fromfile(str(CONFIGS / suite.configs[network]))
        config.merge_from_dict(root_options(config, roots))
        check_data_roots(config, ['train_dataloader', 'val_dataloader', 'test_dataloader'])
    there = []
    for name in [*suite.sets, *filter(None, [suite.day_set])]:
        images, labels = (roots['dark_zurich'] / part / name for part in ('rgb_anon/val', 'gt/val'))
        is_wanted = name in suite.sets and (images.is_dir() or name == suite.sets[0])
        if is_wanted or labels.is_dir():
            there.append(name)
            config.test_dataloader = loader_of(config, name)
            check_data_roots(config, ['test_dataloader'])
        else:
            print(f'{name} is left out: there are no labels {str(labels)!r}')
    return replace(
        suite,
        sets=tuple(name for name in suite.sets if name in there),
        day_set=suite.day_set if suite.day_set in there else None,
    )


def check_network(suite: Suite) -> None:
    """Build the source stage's backbone if it starts from the weights of a package, before anything is rendered.

    Args:
        suite: The suite.

    Raises:
        UserInputError: If a package or the weights are missing.
    """
    settings = Config.fromfile(str(CONFIGS / suite.configs['source'])).model.backbone.to_dict()
    kind = MODELS.get(settings.pop('type'))
    if settings.get('pretrained'):
        kind(**settings).init_weights()


def render_worlds(args: argparse.Namespace, suite: Suite, rows: Sequence[str]) -> None:
    """Render the worlds that are not there.

    Args:
        args: The command line.
        suite: The suite.
        rows: Names of the rows: an oracle of the style needs the source at night, too, and some methods twilight.
    """
    counts = {name: max(round(count * args.share), 1) for name, count in NUM_FRAMES.items()}
    options: dict[str, Any] = {'night': suite.night}
    if any(ROWS[name].changes == NIGHT_SOURCE for name in rows):
        options['source_at_night'] = True
    if any(ROWS[name].network in TWILIGHT for name in rows):
        options['twilight'] = True
    for seed in args.seeds:
        print(f'world {args.first_world + seed} of seed {seed}', flush=True)
        write_mini_night(world_dir(args, seed), seed=args.first_world + seed, **counts, **options)
