from __future__ import annotations

import json
from pathlib import Path

from mmseg_ccdistill.reports.training_log import history, last_tenth, scalars


def write(folder: Path, start: str, *steps: int, end: str = '') -> None:
    file = folder / start / 'vis_data/scalars.json'
    file.parent.mkdir(parents=True)
    file.write_text(''.join(f'{json.dumps({"step": k, "loss": k})}\n' for k in steps) + end)


def test_a_resumed_training_is_one_history(tmp_path: Path) -> None:
    write(tmp_path, 'a', 1, 2, 3)
    write(tmp_path, 'b', 3, 4, end='{"step": 5')  # resumed after 2; the last line is being written
    assert [row['step'] for row in history(tmp_path)] == [1, 2, 3, 4]
    assert [row['step'] for row in scalars(tmp_path)] == [3, 4]


def test_a_training_that_began_anew_forgets_the_older_one(tmp_path: Path) -> None:
    write(tmp_path, 'a', 1, 2, 3)
    write(tmp_path, 'b', 1, 2)
    assert [row['step'] for row in history(tmp_path)] == [1, 2]


def test_medians_are_those_of_the_last_tenth() -> None:
    rows = [{'loss': float(k), 'other': 1.0} for k in range(30)]
    assert last_tenth(rows, ('loss',)) == {'loss': 28.0}
