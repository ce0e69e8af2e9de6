"""Runs that are killed, again and again, end as if nobody had touched them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_harness(folder: Path, fault_kills: int, random_kills: int, seed: int) -> dict:
    """A process of its own: its copies must not have computed anything before."""
    out = folder / 'reliability.json'
    command = [
        sys.executable,
        '-m',
        'benchmarks.reliability',
        '--out',
        str(out),
        '--seed',
        str(seed),
    ]
    command += ['--fault-kills', str(fault_kills), '--random-kills', str(random_kills)]
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONWARNINGS='ignore')
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert out.is_file(), result.stderr[-3000:]
    return json.loads(out.read_text())


@pytest.mark.parametrize(
    ('fault_kills', 'random_kills'),
    [(7, 2), pytest.param(100, 100, marks=pytest.mark.slow)],
)
def test_no_kill_loses_a_checkpoint_or_changes_the_end(
    tmp_path: Path, fault_kills: int, random_kills: int
) -> None:
    figures = run_harness(tmp_path, fault_kills, random_kills, seed=fault_kills)
    assert (figures['fault_point_kills'], figures['random_kills']) == (fault_kills, random_kills)
    assert figures['details'] == []
    assert figures['good_checkpoints_lost'] == figures['runs_with_another_end'] == 0
    landed = figures['by_window']
    assert sum(landed.values()) == fault_kills and all(landed.values())


def test_the_harness_notices_a_lost_checkpoint(tmp_path: Path) -> None:
    """A kill during mmengine's own write leaves half a file under its name."""
    import torch

    from benchmarks.forked_training import same
    from benchmarks.reliability import damage

    assert damage(tmp_path, set()) == [] and damage(tmp_path, {'iter_2.pth'}) != []
    torch.save(
        {'weights': torch.ones(1000), 'mmseg_ccdistill_version': '0'}, tmp_path / 'iter_2.pth'
    )
    assert damage(tmp_path, {'iter_2.pth'}) == []
    assert damage(tmp_path, {'iter_2.pth', 'iter_4.pth'}) == ['the newest checkpoint is gone']
    content = (tmp_path / 'iter_2.pth').read_bytes()
    (tmp_path / 'iter_4.pth').write_bytes(content[:1000])
    assert len(damage(tmp_path, {'iter_2.pth'})) == 1
    (tmp_path / 'iter_4.pth').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_4.pth'))
    assert 'does not exist' in damage(tmp_path, {'iter_2.pth'})[0]
    assert same({'a': [torch.ones(2), 1]}, {'a': [torch.ones(2), 1]})
    assert not same({'a': [torch.ones(2), 1]}, {'a': [torch.tensor([1, 1.0000001]), 1]})
