"""Another number of processes or samples, told when a run is resumed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from resumed_run import HALF, WHOLE, Run, poly, warnings

from mmseg_ccdistill.runtime.run_setup import batch_change


def test_another_batch_is_told(tmp_path: Path, log: Any) -> None:
    Run(tmp_path, HALF, [poly(WHOLE)])
    Run(tmp_path, WHOLE, [poly(WHOLE)], resume=True, batch_size=2)
    assert [text for text in warnings(log) if 'written by' in text] == [
        'the checkpoint was written by 1 process with batches of 4, this run has 1 process with batches of 2: a step '
        'sees 2 images instead of 4, while learning rate and number of iterations stay as configured; the order of '
        'images goes on at draw 12 although 24 were drawn, so some are drawn again; for the same run take 1 process '
        'with batches of 4'
    ]


def setup(processes: int, batch_size: int, accumulative_counts: int = 1) -> dict[str, int]:
    return dict(processes=processes, batch_size=batch_size, accumulative_counts=accumulative_counts)


@pytest.mark.parametrize(
    ('saved', 'now', 'expected'),
    [
        (setup(2, 2), setup(4, 2), 'a step sees 8 images instead of 4, .* at draw 80 although 40 .*passed over'),
        (setup(4, 2), setup(2, 2), 'a step sees 4 images instead of 8, .* at draw 40 although 80 .*drawn again'),
        (setup(2, 2), setup(1, 4), 'with batches of 4: dropout and batch statistics differ from'),
        (setup(1, 4), setup(1, 2, 2), '2 accumulated: the order of images goes on at draw 20 although 40'),
        (setup(1, 4), setup(1, 4, 2), 'sees 8 images instead of 4, .* as configured; for the same'),
    ],
)  # fmt: skip
def test_other_processes_are_told(saved: dict, now: dict, expected: str) -> None:
    told = batch_change(saved, now, 10)
    assert told is not None and re.search(expected, told), told
    assert batch_change(saved, saved, 10) is None
    assert (
        batch_change({}, now, 10) is None
        and batch_change(dict(saved, batch_size=None), now, 1) is None
    )
