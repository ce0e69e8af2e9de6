"""How the numbers of a suite came about, how to read them, and what failed."""

from __future__ import annotations

from benchmarks.adaptation.measured import Results, row_names
from benchmarks.adaptation.rows import IN_STAGES, ROWS

#: Heading of the sets of ``--test-on``, and what is said of them.
UNSEEN_TITLE = 'A set that no row has seen'
UNSEEN_NOTE = (
    'The last checkpoint of each row, tested on the set of another config. The set takes no part in any training or '
    'choice.'
)

#: Heading of the warning signs, and what is said of them.
SIGNS_TITLE = 'Warning signs'
SIGNS_NOTE = 'Rules that are set beforehand. A row that breaks one may still have a good number; do not build on it.'


def code_states(results: Results) -> list[str]:
    """Commits that the source stages, trainings and measurements started with, each once.

    Args:
        results: Content of ``results.json``.
    """
    runs = [run for row in results['runs'].values() for run in row.values()]
    unknown = [{'commit': None, 'dirty': None}]
    items = [*results['sources'].values(), *runs]
    states = [state for item in items for state in item['code'] or unknown]
    changes = {True: ', with changes that are not committed', None: ', changes unknown', False: ''}
    return sorted({(s['commit'] or 'commit unknown') + changes[s['dirty']] for s in states})


def facts(results: Results) -> dict[str, str]:
    """How the numbers came about, by heading."""
    settings = results['settings']
    worlds = [str(results['worlds'][seed]) for seed in sorted(results['worlds'], key=int)]
    found = {
        'date': results['date'],
        'code of the runs': '\n'.join(code_states(results)),
        'command': '\n'.join(results['commands']),
        'lengths': f'{settings["source_iters"]} iterations of the shared source stage, then '
        f'{settings["adapt_iters"]} of every row',
        'seeds': ', '.join(sorted(results['seeds'], key=int)),
        'rendered worlds': ', '.join(worlds),
        'machine': results['device'],
        'versions': ', '.join(f'{name} {value}' for name, value in results['versions'].items()),
        'duration': f'{results["seconds"] / 60:.0f} minutes of training and measuring, added up over processes',
    }
    for name, options in results['variants'].items():
        found[f'variant {name}'] = ' '.join(f'{key}={value}' for key, value in options.items())
    if settings.get('share', 1) != 1:
        found['data'] = f'a share of {settings["share"]} of the rendered frames: a trial'
    return {name: text for name, text in found.items() if text}


def notes(results: Results) -> list[str]:
    """How to read the tables, and what they are not."""
    lines = [
        'mIoU in percent. Every row of a seed starts from the same source stage and trains equally long; source-only '
        'continues the source stage.',
        *equal_compute(results),
        *trained_in_stages(results),
        'Intervals are 95 % Student-t intervals over seeds; differences are paired by seed. A number with n = 1 has '
        'no interval.',
        'Night labels were used for measuring and, in the oracles, for training upper bounds; no other row sees them. '
        'The last checkpoint counts, never the best one.',
    ]
    if results['suite'] in ('mini', 'pretrained'):
        start = 'random' if results['suite'] == 'mini' else 'ImageNet'
        lines += [
            'Each seed has a rendered world of its own, so a seed covers the streets and the noise of the training. '
            'The share of the gap is (row - source-only) / (oracle - source-only), a ratio of means; its interval is '
            'that of the delta method, with seeds paired.',
            f'This is a small network from {start} weights on rendered streets. It tests the method as a mechanism; it '
            'does not reproduce the numbers of the paper.',
        ]
    elif results['suite'] in ('real', 'two_cities'):
        start = 'random' if results['suite'] == 'real' else 'ImageNet'
        lines.append(
            'All seeds share one set of frames: the spread is that of the training alone. The small network starts '
            f'from {start} weights; it does not reproduce the numbers of the paper.'
        )
    else:
        lines.append(
            'Measured on DZ-val (50 images); the paper tests on DZ-test (151 images, another set).'
        )
    return [
        *lines,
        "The paper's numbers are those of its Table 3 on DZ-test with a pretrained RefineNet-R101: compare signs and "
        'order, not sizes.',
    ]


def equal_compute(results: Results) -> list[str]:
    """One sentence for each row that trains longer than the others, because it spends the FLOP of another one."""
    lines = []
    for name in row_names(results):
        other = ROWS[name].as_costly_as
        if other is not None:
            iters = {run['iters'] for run in results['runs'][name].values()}
            lines.append(
                f'Not so {ROWS[name].title!r}: it trains {", ".join(map(str, sorted(iters)))} iterations, which take '
                f'as many FLOP as the {results["settings"]["adapt_iters"]} of {ROWS[other].title!r}.'
            )
    return lines


def trained_in_stages(results: Results) -> list[str]:
    """One sentence on the rows whose trainings together have the length of the other rows."""
    titles = [ROWS[n].title for n in row_names(results) if ROWS[n].network in IN_STAGES]
    if not titles:
        return []
    return [
        f'{", ".join(titles)}: trained in stages, whose iterations together are as many as those of the other rows; '
        'labelling is not counted. Curve, loss terms and cost are those of the last training.'
    ]


def failure_lines(results: Results) -> list[str]:
    """One line for each stage that failed."""
    return [f'{name}: {text.splitlines()[-1]}' for name, text in results['failures'].items()]
