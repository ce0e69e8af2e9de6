"""N iterations equal N/2, a kill, and the rest: to the last bit, whatever the workers and processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import mmseg
import pytest
import torch

from benchmarks.forked_training import (
    INTERVAL,
    ITERATIONS,
    final_state,
    run_config,
    same,
)
from mmseg_ccdistill.runtime.checkpoint_file import load_checkpoint_file

ROOT = Path(__file__).resolve().parents[2]

KILLED_BEFORE = 5
SAVED = KILLED_BEFORE // INTERVAL * INTERVAL
# Workers x processes.
FAST_CASES, SLOW_CASES = ['0x1', '2x2'], ['2x1', '0x2']
CASES = [*FAST_CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW_CASES)]


def train_all(folder: Path, cases: list[str]) -> Path:
    """Whole, killed and resumed runs of each case."""
    command = [
        sys.executable,
        str(Path(__file__).with_name('resumed_runs.py')),
        str(folder),
        *cases,
    ]
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONWARNINGS='ignore')
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        env.pop(name, None)
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    for name, codes in json.loads((folder / 'codes.json').read_text()).items():
        expected = -9 if name.endswith('killed') else 0
        case, kind = name.split()
        logs = ''.join(p.read_text()[-1500:] for p in (folder / case).glob(f'{kind}.rank*.log'))
        assert all(code == expected for code in codes), f'{name}: {codes}\n{logs}'
    return folder


@pytest.fixture(scope='module')
def fast_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_all(tmp_path_factory.mktemp('resumed'), FAST_CASES)


@pytest.fixture(scope='module')
def slow_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_all(tmp_path_factory.mktemp('resumed_slow'), SLOW_CASES)


@pytest.fixture
def folder(case: str, request: pytest.FixtureRequest) -> Path:
    """The runs of one case."""
    name = 'fast_runs' if case in FAST_CASES else 'slow_runs'
    return request.getfixturevalue(name) / case


def diary(folder: Path, kind: str, rank: int) -> dict[int, dict[str, Any]]:
    lines = (folder / f'{kind}.rank{rank}.jsonl').read_text().splitlines()
    return {line['iteration']: line for line in map(json.loads, lines)}


@pytest.mark.parametrize('case', CASES)
def test_every_iteration_is_the_same(folder: Path, case: str) -> None:
    """Files, crops, flips, dropout seeds and losses of each process."""
    for rank in range(int(case[-1])):
        whole, killed, resumed = (
            diary(folder, kind, rank) for kind in ('whole', 'killed', 'resumed')
        )
        assert list(whole) == list(range(ITERATIONS)) and list(killed) == list(range(KILLED_BEFORE))
        assert list(resumed) == list(range(SAVED, ITERATIONS))
        assert all(whole[i] == killed[i] for i in killed)
        assert all(whole[i] == resumed[i] for i in resumed)
        assert len({line['dropout'] for line in whole.values()}) == ITERATIONS


@pytest.mark.parametrize('case', CASES)
def test_the_end_is_the_same(folder: Path, case: str) -> None:
    """Weights, statistics, optimizer, schedule and the log of every iteration."""
    whole, broken = (final_state(folder / kind) for kind in ('whole', 'broken'))
    assert same(whole, broken)
    assert len(whole['losses']['train/loss']) == ITERATIONS
    assert whole['optimizer']['state'][0]['exp_avg'].abs().sum() > 0
    first = load_checkpoint_file(folder / f'whole/iter_{ITERATIONS - INTERVAL}.pth')
    assert not same(first['state_dict'], whole['state_dict'])  # the comparison can fail


@pytest.mark.slow
def test_workers_change_nothing(fast_runs: Path, slow_runs: Path) -> None:
    assert same(final_state(fast_runs / '0x1/whole'), final_state(slow_runs / '2x1/whole'))
    assert same(final_state(slow_runs / '0x2/whole'), final_state(fast_runs / '2x2/whole'))


def test_the_same_image_gets_other_draws_in_later_epochs(fast_runs: Path) -> None:
    """5 images, 2 a step: 8 steps are more than three epochs."""
    whole = diary(fast_runs / '0x1', 'whole', 0)
    files = [name for line in whole.values() for name in line['files']]
    assert all(files.count(name) >= 3 for name in files) and len(set(files)) == 5
    assert len({line['pixels'] for line in whole.values()}) == ITERATIONS
    assert len({tuple(line['flips']) for line in whole.values()}) > 1


def test_two_processes_share_the_draws_of_one(fast_runs: Path) -> None:
    """Draws 0, 2, 4 ... go to the first process, the others to the second."""
    alone = [
        name for line in diary(fast_runs / '0x1', 'whole', 0).values() for name in line['files']
    ]
    ranks = [
        [
            name
            for line in diary(fast_runs / '2x2', 'whole', rank).values()
            for name in line['files']
        ]
        for rank in (0, 1)
    ]
    assert ranks[0][: len(alone) // 2] == alone[::2] and ranks[1][: len(alone) // 2] == alone[1::2]


def test_checkpoints_hold_tensors_and_plain_values_only(fast_runs: Path) -> None:
    """torch alone reads them, on every torch, without a list of allowed classes."""
    path = fast_runs / '0x1/whole' / f'iter_{ITERATIONS}.pth'
    checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    assert {'state_dict', 'optimizer', 'param_schedulers', 'message_hub', 'meta'} <= set(checkpoint)
    assert (
        checkpoint['meta']['mmseg_ccdistill_version'] and checkpoint['meta']['iter'] == ITERATIONS
    )
    assert sorted(p.name for p in path.parent.glob('*.pth')) == ['iter_6.pth', 'iter_8.pth']
    assert (path.parent / 'last_checkpoint').read_text() == str(path)


@pytest.mark.slow
@pytest.mark.parametrize('tool', ['stock', 'ours'])
def test_the_training_tools_resume(fast_runs: Path, tmp_path: Path, tool: str) -> None:
    """MMSegmentation's own, unmodified train.py, and ours: half, then --resume."""
    if tool == 'stock':
        script = Path(mmseg.__file__).parent / '.mim/tools/train.py'
    else:
        script = ROOT / 'tools/train.py'
    config = tmp_path / 'night.py'
    run_config(fast_runs / 'data', tmp_path / 'run').dump(str(config))
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    for arguments in ([f'train_cfg.max_iters={ITERATIONS // 2}'], []):
        options = ['--cfg-options', *arguments] if arguments else ['--resume']
        result = subprocess.run(
            [sys.executable, str(script), str(config), *options],
            cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr[-3000:]
    assert same(final_state(tmp_path / 'run'), final_state(fast_runs / '0x1/whole'))
