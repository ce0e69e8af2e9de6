"""Train and measure the rows of the paper's Table 3 over seeds, and write a report.

    python -m benchmarks.adaptation mini --seeds 0 1 2 3 4 --rows headline
    python -m benchmarks.adaptation pretrained --seeds 0
    python -m benchmarks.adaptation real --root DATA
    python -m benchmarks.adaptation cs2dz --cityscapes DATA --dark-zurich DATA

`mini` and `pretrained` render their data, one world for each seed. All rows of a seed start from one source stage
and train equally long. What has been done before is not done again: run the same command once more to go on, or
another one to add rows and seeds. docs/benchmark.md says what every column is.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmseg.registry import MODELS

from benchmarks.adaptation.measure import Evaluation, loader_of
from benchmarks.adaptation.rerun import check_same_suite, write_comparison
from benchmarks.adaptation.results import (
    RESULTS,
    add_finished,
    check_sources,
    describe,
    failure_name,
    merge,
    read_results,
    sum_up,
    write_panel,
    write_report,
)
from benchmarks.adaptation.rows import (
    CONFIGS,
    SUITES,
    SeedRuns,
    Suite,
    add_variants,
    choose_rows,
    lengths_of,
    root_options,
    seed_runs,
)
from benchmarks.adaptation.unseen import UnseenSet, read_unseen_sets
from benchmarks.repository import ROOT
from benchmarks.stages import Stage, processes_at_a_time, run_stages
from mmseg_ccdistill.engine.start_up_checks import check_data_roots
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night import write_mini_night
from mmseg_ccdistill.mini_night.world_manifest import MANIFEST
from mmseg_ccdistill.runtime.override_syntax import parse_overrides

#: Rendered frames of one world (those of ``write_mini_night``), of which ``--share`` takes a part.
NUM_FRAMES = {
    'num_source_train': 240,
    'num_source_val': 40,
    'num_pairs': 160,
    'num_target_val': 40,
}

#: Seconds per iteration of the small networks on one core: source stage (batch 8) and adaptation (batch 2 a domain).
CORE_SECONDS = {'source': 0.25, 'adaptation': 0.45}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        The parsed arguments.

    Raises:
        UserInputError: If a number makes no sense.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('suite', choices=list(SUITES))
    parser.add_argument(
        '--seeds',
        type=int,
        nargs='+',
        help='default: mini and pretrained 0 to 4, real 0 to 2, cs2dz 0',
    )
    parser.add_argument(
        '--rows',
        nargs='+',
        default=['headline'],
        help='headline (default), ablations, beyond, table1, all, or names',
    )
    parser.add_argument(
        '--variant',
        nargs='+',
        action='append',
        default=[],
        metavar=('NAME', 'KEY=VALUE'),
        help='a row of other settings: the full config (NAME:ROW: that of another row) with these overrides',
    )
    parser.add_argument('--source-iters', type=int, help='length of the shared source stage')
    parser.add_argument('--adapt-iters', type=int, help='length of every row')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/adaptation_<suite>')
    parser.add_argument('--out', type=Path, help='folder of the report; default: <work-dir>/report')
    parser.add_argument(
        '--jobs',
        type=int,
        help='processes at a time; default: one for each GPU, else for each core',
    )
    parser.add_argument(
        '--report-only', action='store_true', help='draw the report of --out again, run nothing'
    )
    parser.add_argument(
        '--compare',
        type=Path,
        metavar='RESULTS_JSON',
        help='stated results of the same suite: say whether the means lie within their intervals',
    )
    parser.add_argument(
        '--test-on',
        type=Path,
        nargs='+',
        default=[],
        metavar='CONFIG',
        help='also test every row on the set that the test_dataloader of another config names',
    )
    parser.add_argument(
        '--dry-run', action='store_true', help='print the command of every stage, run nothing'
    )
    parser.add_argument(
        '--first-world',
        type=int,
        default=201,
        help='mini, pretrained: world of seed 0, the next one of seed 1, ...',
    )
    parser.add_argument(
        '--share',
        type=float,
        default=1.0,
        help='mini, pretrained: part of the frames to render, for a trial',
    )
    parser.add_argument('--root', type=Path, help='real: folder with cityscapes and dark_zurich')
    parser.add_argument('--cityscapes', type=Path, help='cs2dz: data root of Cityscapes')
    parser.add_argument('--dark-zurich', type=Path, help='cs2dz: data root of Dark Zurich')
    args = parser.parse_args(argv)
    args.variants = dict(read_variant(words) for words in args.variant)
    args.seeds = list(dict.fromkeys(args.seeds or SUITES[args.suite].seeds))
    for name in ('source_iters', 'adapt_iters', 'jobs'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserInputError(f'--{name.replace("_", "-")} must be at least 1, got {value}')
    if min(args.seeds) < 0 or args.first_world < 0:
        raise UserInputError('--seeds and --first-world must not be negative')
    if not 0 < args.share <= 1:
        raise UserInputError(f'--share must be above 0 and at most 1, got {args.share}')
    args.work_dir = (args.work_dir or ROOT / f'work_dirs/adaptation_{args.suite}').resolve()
    args.out = (args.out or args.work_dir / 'report').resolve()
    return args


def read_variant(words: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Name and overrides of a ``--variant``.

    Args:
        words: The name, then ``key=value``.

    Returns:
        The name, and values by key, as text.

    Raises:
        OverrideError: If a word is no override.
    """
    name, *overrides = words
    parse_overrides(overrides, f'--variant {name}')
    return name, dict(word.split('=', 1) for word in overrides)


def roots_of(args: argparse.Namespace, seed: int) -> dict[str, Path]:
    """Data roots of a seed.

    Args:
        args: The command line.
        seed: The seed.

    Returns:
        Folders by ``cityscapes`` and ``dark_zurich``, absolute.

    Raises:
        UserInputError: If the command line does not name them.
    """
    if args.suite == 'cs2dz':
        if args.cityscapes is None or args.dark_zurich is None:
            raise UserInputError(
                'cs2dz reads two data sets: name their folders with --cityscapes and --dark-zurich (docs/data.md)'
            )
        return {'cityscapes': args.cityscapes.resolve(), 'dark_zurich': args.dark_zurich.resolve()}
    if args.suite == 'real' and args.root is None:
        raise UserInputError(
            'real reads day and night frames: name the folder that holds cityscapes and dark_zurich with --root '
            '(docs/data.md)'
        )
    root = args.root.resolve() if args.suite == 'real' else world_dir(args, seed)
    return {name: root / name for name in ('cityscapes', 'dark_zurich')}


def world_dir(args: argparse.Namespace, seed: int) -> Path:
    """Folder of a seed's rendered world."""
    return args.work_dir / 'worlds' / str(args.first_world + seed)


def check_roots(suite: Suite, roots: Mapping[str, Path]) -> Suite:
    """Look for the folders, lists and images of every loader and measured set, before anything runs.

    Args:
        suite: The suite.
        roots: Data roots.

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


def plan(
    args: argparse.Namespace,
    suite: Suite,
    rows: Sequence[str],
    lengths: tuple[int, int],
    unseen: Sequence[UnseenSet] = (),
) -> dict[int, SeedRuns]:
    """Stages of every seed; rendered worlds must be there.

    Args:
        args: The command line.
        suite: The suite with the sets that are there.
        rows: Names of the rows.
        lengths: Iterations of the source stage and of each row.
        unseen: Sets on which every row is tested beside those of the suite.

    Returns:
        Stages by seed.
    """
    runs = {}
    for seed in args.seeds:
        manifest = world_dir(args, seed) / MANIFEST
        data = (
            manifest.read_text(encoding='utf-8') if suite.is_rendered and manifest.exists() else ''
        )
        roots = roots_of(args, seed)
        runs[seed] = seed_runs(suite, rows, seed, roots, args.work_dir, lengths, data, unseen)
    return runs


def render_worlds(args: argparse.Namespace) -> None:
    """Render the worlds that are not there."""
    counts = {name: max(round(count * args.share), 1) for name, count in NUM_FRAMES.items()}
    for seed in args.seeds:
        print(f'world {args.first_world + seed} of seed {seed}', flush=True)
        write_mini_night(
            world_dir(args, seed),
            seed=args.first_world + seed,
            night=SUITES[args.suite].night,
            **counts,
        )


def estimate(stages: Sequence[Stage], work_dir: Path, jobs: int, cost: float = 1.0) -> float:
    """Minutes that the stages which are not finished take on a CPU.

    Args:
        stages: All stages.
        work_dir: Folder of the runs.
        jobs: Processes at a time.
        cost: Time of an iteration, relative to that of the small network.

    Returns:
        Minutes.
    """
    seconds = 0.0
    for stage in stages:
        if not stage.finished(work_dir) and stage.max_iters > 1:
            two_sets = 'train_dataloader.dataset.target.data_root' in stage.options
            kind = 'adaptation' if two_sets else 'source'
            seconds += stage.max_iters * CORE_SECONDS[kind]
    return cost * seconds / jobs / 60


def run_suite(args: argparse.Namespace, argv: Sequence[str]) -> int:
    """Run and report.

    Args:
        args: The command line, parsed.
        argv: The command line.

    Returns:
        Number of stages that failed.
    """
    suite = SUITES[args.suite]
    add_variants(args.variants)
    rows = choose_rows([*args.rows, *(name.partition(':')[0] for name in args.variants)], suite)
    lengths = lengths_of(suite, args.source_iters, args.adapt_iters)
    jobs = args.jobs or processes_at_a_time()
    begin = time.monotonic()
    settings: dict[str, Any] = {'source_iters': lengths[0], 'adapt_iters': lengths[1]}
    if suite.is_rendered:
        settings.update(first_world=args.first_world, share=args.share)
        if suite.night != 'easy':  # results from before the choice have none
            settings['night'] = suite.night
    command = shlex.join(['python', '-m', 'benchmarks.adaptation', *argv])
    results = describe(args.suite, suite.title, settings, command)
    results['variants'] = args.variants
    path = args.out / RESULTS
    earlier = read_results(path) if path.exists() else None
    if earlier is not None:
        merge(earlier, results, path)  # now, not after hours
    if args.compare:
        check_same_suite(results, read_results(args.compare), args.compare)
    unseen = read_unseen_sets(args.test_on)
    if not suite.is_rendered:
        suite = check_roots(suite, roots_of(args, args.seeds[0]))
    elif not args.dry_run:
        check_network(suite)
        render_worlds(args)
        results['worlds'] = {str(seed): args.first_world + seed for seed in args.seeds}
    runs = plan(args, suite, rows, lengths, unseen)
    stages = [stage for seed in runs.values() for stage in seed.stages()]
    if args.dry_run:
        for stage in stages:
            print(shlex.join(stage.command(args.work_dir)))
        return 0
    if earlier is not None:
        sources = {str(seed): r.source.fingerprint(args.work_dir) for seed, r in runs.items()}
        check_sources(earlier, sources, path)
    if args.suite != 'cs2dz':
        minutes = estimate(stages, args.work_dir, jobs, suite.cost)
        print(
            f'estimated: {minutes:.0f} minutes, {jobs} at a time, with the speed of one core each'
        )

    def report(with_page: bool) -> Path:
        for seed, of_seed in runs.items():
            add_finished(results, seed, of_seed, args.work_dir)
        # Others may have written since: what lies there now counts.
        merged = merge(read_results(path), results, path) if path.exists() else sum_up(results)
        if with_page and merged['runs']:
            args.out.mkdir(parents=True, exist_ok=True)
            write_panel(merged, runs, args.work_dir, args.out)
        return write_report(merged, args.out, with_page)

    def on_end(stage: Stage, problem: str) -> None:
        if problem:
            seed, row = stage.name.removeprefix('seed').split('/')[:2]
            results['failures'].setdefault(failure_name(row, seed), problem)
            print(f'FAILED {problem}', file=sys.stderr, flush=True)
        if problem or isinstance(stage, Evaluation):
            try:
                report(with_page=False)
            except UserInputError as error:  # the trainings go on
                print(f'not written: {error}', file=sys.stderr, flush=True)

    failed = run_stages(stages, args.work_dir, jobs, 1, on_end)
    written = report(with_page=True)
    print(f'took {(time.monotonic() - begin) / 60:.1f} minutes; report: {written}')
    return len(failed)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the suite; exit code 1 if a stage failed."""
    args = parse_args(argv)
    if args.report_only:
        print(write_report(read_results(args.out / RESULTS), args.out))
        if args.compare:
            print(write_comparison(args.out, args.compare))
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the stages, too
    try:
        failed = run_suite(args, sys.argv[1:] if argv is None else argv)
    finally:
        signal.signal(signal.SIGTERM, before)
    if args.compare and not args.dry_run:
        print(write_comparison(args.out, args.compare))
    if failed:
        sys.exit(1)
