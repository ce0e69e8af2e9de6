"""Train and measure the rows of the paper's Table 3 over seeds, and write a report.

    python -m benchmarks.adaptation mini --seeds 0 1 2 3 4 --rows headline
    python -m benchmarks.adaptation pretrained --seeds 0
    python -m benchmarks.adaptation real --root DATA
    python -m benchmarks.adaptation two_cities --root DATA --kitti KITTI
    python -m benchmarks.adaptation cs2dz --cityscapes DATA --dark-zurich DATA

`mini` and `pretrained` render their data, one world for each seed. All rows of a seed start from one source stage
and train equally long. What has been done before is not done again: run the same command once more to go on, or
another one to add rows and seeds. docs/benchmark.md says what every column is.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.adaptation.arguments import parse_args
from benchmarks.adaptation.measure import Evaluation
from benchmarks.adaptation.needs import (
    check_network,
    check_roots,
    render_worlds,
    roots_of,
    world_dir,
)
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
from benchmarks.adaptation.rows import add_variants
from benchmarks.adaptation.seed_runs import SeedRuns, seed_runs
from benchmarks.adaptation.suites import SUITES, Suite, choose_rows, lengths_of
from benchmarks.adaptation.unseen import UnseenSet, UnseenTest, read_unseen_sets
from benchmarks.stages import Stage, processes_at_a_time, run_stages
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night.world_manifest import MANIFEST
from mmseg_ccdistill.prediction.writing import writing
from mmseg_ccdistill.runtime.output_place import check_output_folder
from mmseg_ccdistill.runtime.override_syntax import format_override

#: Seconds per iteration of the small networks on one core: source stage (batch 8) and adaptation (batch 2 a domain).
CORE_SECONDS = {'source': 0.25, 'adaptation': 0.45}


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
        runs[seed] = seed_runs(
            suite, rows, seed, roots, args.work_dir, lengths, data, unseen, args.cfg_options
        )
    return runs


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
    if args.cfg_options:
        settings['cfg_options'] = [format_override(k, v) for k, v in args.cfg_options.items()]
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
    if not args.dry_run:
        check_network(suite)
    if not suite.is_rendered:
        suite = check_roots(suite, roots_of(args, args.seeds[0]), rows)
    elif not args.dry_run:
        render_worlds(args, suite, rows)
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
            unseen_set = stage.dataset if isinstance(stage, UnseenTest) else ''
            results['failures'].setdefault(failure_name(row, seed, unseen_set), problem)
            print(f'FAILED {problem}', file=sys.stderr, flush=True)
        if problem or isinstance(stage, Evaluation):
            try:
                report(with_page=False)
            except (UserInputError, OSError) as error:  # the trainings go on
                print(f'not written: {error}', file=sys.stderr, flush=True)

    failed = run_stages(stages, args.work_dir, jobs, 1, on_end)
    with writing(args.out):
        written = report(with_page=True)
    print(f'took {(time.monotonic() - begin) / 60:.1f} minutes; report: {written}')
    return len(failed)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the suite; exit code 1 if a stage failed."""
    args = parse_args(__doc__, argv)
    if not args.report_only:
        check_output_folder(args.work_dir, 'name another with --work-dir')
    check_output_folder(args.out)
    if args.report_only:
        print(write_report(read_results(args.out / RESULTS), args.out))
        if args.compare:
            print(write_comparison(args.out, args.compare))
        return
    failed = run_suite(args, sys.argv[1:] if argv is None else argv)
    if args.compare and not args.dry_run:
        print(write_comparison(args.out, args.compare))
    if failed:
        sys.exit(1)
