"""Signs that a row teaches itself its own errors. They are notes of the report and stop nothing."""

from __future__ import annotations

from typing import Any

from benchmarks.adaptation.measure import DAY
from benchmarks.adaptation.measured import Results, main_set, mious, row_names
from benchmarks.adaptation.rows import BASELINE, ROWS
from mmseg_ccdistill.reports.seed_statistics import paired_difference

#: Points of mIoU that M_d may lose by day.
DAY_LOSS = 1.0
#: Share of T_n that self-training calls dynamic, relative to that of the source: lower and upper bound.
DYNAMIC_RATIO = (0.3, 3.0)
#: Mean confidence of the teachers above which falling accuracy is a collapse, and the fall in points.
CONFIDENCE, ACCURACY_LOSS = 0.9, 1.0
#: Share of one class in all predictions or pseudo labels.
ONE_CLASS = 0.9


def warning_signs(results: Results) -> list[str]:
    """A sentence for each sign, row by row.

    Args:
        results: Content of ``results.json``.
    """
    signs = []
    for name in row_names(results):
        title = ROWS[name].title
        day = paired_difference(mious(results, name, DAY), mious(results, BASELINE, DAY))
        if ROWS[name].network not in ('source', 'oracle') and day and day.value < -DAY_LOSS:
            signs.append(
                f'{title}: M_d by day is {-day.value:.1f} points below that of {ROWS[BASELINE].title} '
                f'(limit {DAY_LOSS:g}).'
            )
        for seed, run in results['runs'][name].items():
            signs += [f'{title}, seed {seed}: {text}' for text in _of_run(run, main_set(results))]
    return signs


def _of_run(run: dict[str, Any], dataset: str) -> list[str]:
    found = run['diagnostics']
    texts = []
    for learner, target in (('night', 'T_n'), ('day', 'T_d')):
        share, source = (found.get(f'{learner}.mix_{part}') for part in ('things', 'source_things'))
        if share is not None and source:
            ratio = share / source
            if not DYNAMIC_RATIO[0] <= ratio <= DYNAMIC_RATIO[1]:
                texts.append(
                    f'the labels of {target} call {100 * share:.1f} % of the pixels dynamic, {ratio:.2g} times the '
                    f'share in the source (expected {DYNAMIC_RATIO[0]:g} to {DYNAMIC_RATIO[1]:g}).'
                )
    accuracy = [value for _, value in run.get('accuracy', [])]
    key, what = 'night.mix_confidence', 'the teachers of T_n have a mean confidence'
    if key not in found:  # a run of before it was logged
        key, what = 'night.mix_weight', 'the labels of T_n have a mean weight'
    confidence = found.get(key, 0.0)
    if confidence > CONFIDENCE and accuracy and max(accuracy) - accuracy[-1] > ACCURACY_LOSS:
        texts.append(
            f'{what} of {confidence:.2f}, and the pixel accuracy has fallen from {max(accuracy):.1f} to '
            f'{accuracy[-1]:.1f} %: it believes its own errors.'
        )
    predicted = run['sets'].get(dataset, {}).get('largest_predicted', 0.0)
    for share, what in (
        (predicted, 'predictions'),
        (found.get('pseudo.largest_class', 0.0), 'pseudo labels'),
    ):
        if share > ONE_CLASS:
            texts.append(f'one class has {100 * share:.0f} % of the {what}.')
    return texts
