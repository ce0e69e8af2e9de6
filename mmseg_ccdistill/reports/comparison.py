"""Several runs side by side: rows of one config over seeds, with the interval of their mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .changed_settings import changed_settings
from .run_folder import Run
from .seed_statistics import Estimate, paired_difference, spread
from .set_scores import find_scores

#: Score that stands first where a run has it.
MAIN = 'mIoU'
_SEED = 'randomness.seed'


def run_titles(runs: Sequence[Run]) -> list[str]:
    """A name for each run: its folder's, with as many parents as it takes to tell it from the others."""
    paths = [run.folder.resolve().parts for run in runs]
    for length in range(1, max(map(len, paths)) + 1):
        titles = ['/'.join(parts[-length:]) for parts in paths]
        if len(set(titles)) == len(titles):
            break
    return titles


def validation_set(run: Run) -> str:
    """Folder of the images that a run is validated on; empty if its config does not tell."""
    dataset = (run.config.get('val_dataloader') or {}).get('dataset') or {}
    return str((dataset.get('data_prefix') or {}).get('img_path') or dataset.get('data_root') or '')


def all_scores(runs: Sequence[Run]) -> list[dict[str, float]]:
    """The scores of each run; where runs are validated on different sets, the set is a part of the score's name."""
    differ = len({validation_set(run) for run in runs}) > 1
    return [final_scores(run, f'{validation_set(run)}: ' if differ else '') for run in runs]


def final_scores(run: Run, prefix: str = '') -> dict[str, float]:
    """Scores of a run: those of its last validation, and each mean of the sets that were tested (``set: mean``).

    Args:
        run: The run.
        prefix: What stands before the names of the validation's scores.
    """
    scores: dict[str, float] = {}
    for row in run.validations:
        scores.update(
            {
                f'{prefix}{key}': float(value)
                for key, value in row.items()
                if key not in ('step', 'iter', 'time', 'data_time')
                and isinstance(value, int | float)
            }
        )
    for entry in find_scores(run.folder):
        scores.update(
            {
                f'{entry["name"]}: {key}': float(value)
                for key, value in entry['summary'].items()
                if value is not None
            }
        )
    return {key: value for key, value in scores.items() if math.isfinite(value)}


def group_by_settings(runs: Sequence[Run]) -> list[list[int]]:
    """Places of the runs that differ in nothing but the seed, group by group."""
    groups: list[list[int]] = []
    for place, run in enumerate(runs):
        for group in groups:
            changes = changed_settings(runs[group[0]].config, run.config)
            if not [key for key, _, _ in changes if key != _SEED and key != 'load_from']:
                group.append(place)
                break
        else:
            groups.append([place])
    return groups


def group_names(runs: Sequence[Run], groups: Sequence[Sequence[int]]) -> list[str]:
    """A name for each group: its config's, and the folder of its first run where two share one."""
    names = [runs[group[0]].config_name for group in groups]
    titles = run_titles(runs)
    return [
        name if names.count(name) == 1 else f'{name} ({titles[group[0]]})'
        for name, group in zip(names, groups, strict=True)
    ]


def runs_table(runs: Sequence[Run]) -> list[list[str]]:
    """A row for each run: seed, iterations, its last scores."""
    scores = all_scores(runs)
    keys = sorted({key for row in scores for key in row}, key=lambda key: (MAIN not in key, key))
    head = ['run', 'config', 'seed', 'iterations', *keys]
    body = [
        [
            title,
            run.config_name,
            str('' if run.seed is None else run.seed),
            iterations_text(run),
            *(f'{row[key]:.2f}' if key in row else '' for key in keys),
        ]
        for title, run, row in zip(run_titles(runs), runs, scores, strict=True)
    ]
    return [head, *body]


def iterations_text(run: Run) -> str:
    """Iterations of a run, ``400`` or ``250 of 400``."""
    done, asked = run.iterations
    return f'{done:,}' if asked is None or done >= asked else f'{done:,} of {asked:,}'


def seeds_table(runs: Sequence[Run]) -> list[list[str]]:
    """Each score of each group over its seeds: mean, 95 % interval, standard deviation, range.

    Below the groups stand their differences from the first one, over the seeds that both have.
    """
    groups = group_by_settings(runs)
    names = group_names(runs, groups)
    scores = all_scores(runs)
    keys = sorted({key for row in scores for key in row}, key=lambda key: (MAIN not in key, key))
    rows = [['score', 'runs of', 'n', 'mean', '95 % interval', 'sd', 'lowest', 'highest']]
    for key in keys:
        by_seed = [_by_seed(runs, scores, group, key) for group in groups]
        for name, values in zip(names, by_seed, strict=True):
            if values:
                seen = spread(list(values.values()))
                sd = '' if seen.sd is None else f'{seen.sd:.2f}'
                rows.append(
                    [key, name, *_estimate(seen.mean), sd, f'{seen.low:.2f}', f'{seen.high:.2f}']
                )
        for name, values in zip(names[1:], by_seed[1:], strict=True):
            difference = paired_difference(values, by_seed[0])
            if difference is not None:
                title = f'{name} minus {names[0]}'
                rows.append([key, title, *_estimate(difference, sign='+'), '', '', ''])
    return rows


def _by_seed(
    runs: Sequence[Run], scores: Sequence[Mapping[str, float]], group: Sequence[int], key: str
) -> dict[str, float]:
    """Values of a group by seed; runs of one seed are told apart by their place."""
    values: dict[str, float] = {}
    for place in group:
        if key in scores[place]:
            seed = str(runs[place].seed)
            values[seed if seed not in values else f'{seed}, run {place + 1}'] = scores[place][key]
    return values


def _estimate(estimate: Estimate, sign: str = '') -> list[str]:
    interval = 'one seed: none'
    if estimate.interval is not None:
        interval = ' to '.join(format(end, f'{sign}.2f') for end in estimate.interval)
    return [str(estimate.n), format(estimate.value, f'{sign}.2f'), interval]


def settings_table(runs: Sequence[Run]) -> list[list[str]]:
    """Settings in which the runs differ, a column for each run."""
    tables: list[dict[str, Any]] = []
    first = runs[0].config
    for run in runs:
        tables.append({key: (base, own) for key, base, own in changed_settings(first, run.config)})
    keys = sorted({key for table in tables for key in table})
    rows = []
    for key in keys:
        base = next(table[key][0] for table in tables if key in table)
        rows.append([key, *(table[key][1] if key in table else base for table in tables)])
    return [['setting', *run_titles(runs)], *rows]
