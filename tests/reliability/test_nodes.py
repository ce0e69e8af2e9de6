"""Two nodes with disks of their own: what one lacks ends the processes of both, with the sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from meeting_port import meeting_port
from tiny_run import HERE, ROOT, make_run

# Each node has one process, the first of its node. A folder stands for its disk.
_SECONDS = 300


def start_node(disk: Path, rank: int, port: int, *options: str) -> subprocess.Popen[str]:
    """Start tools/train.py as a launcher would on the node that has this disk."""
    env = dict(os.environ)
    for name in list(env):
        if name.startswith(('TORCHELASTIC', 'SLURM')):
            del env[name]
    env.update(
        RANK=str(rank), WORLD_SIZE='2', LOCAL_RANK='0', LOCAL_WORLD_SIZE='1',
        MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), CUDA_VISIBLE_DEVICES='',
        OMP_NUM_THREADS='1', PYTHONPATH=os.pathsep.join([str(ROOT), str(HERE)]),
    )  # fmt: skip
    command = [sys.executable, str(ROOT / 'tools/train.py'), 'tiny.py', '--launcher', 'pytorch']
    return subprocess.Popen(
        [*command, *options], cwd=disk, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def train_on_nodes(disks: list[Path], *options: str) -> list[tuple[int, str]]:
    """Exit code and sentences of each node's process."""
    port = meeting_port()
    nodes = [start_node(disk, rank, port, *options) for rank, disk in enumerate(disks)]
    deadline = time.monotonic() + _SECONDS
    ends = []
    try:
        for node in nodes:
            _, err = node.communicate(timeout=max(1.0, deadline - time.monotonic()))
            assert 'Traceback' not in err, err[-3000:]
            sentences = [line for line in err.splitlines() if line.startswith('error: ')]
            assert len(sentences) == 1, err[-3000:]
            ends.append((node.returncode, sentences[0]))
    finally:
        for node in nodes:
            node.kill()
    return ends


def without_the_data(disk: Path) -> None:
    (disk / 'data').rename(disk / 'elsewhere')


def without_a_label(disk: Path) -> None:
    (disk / 'data/labels/3.png').unlink()


def without_the_checkpoint(disk: Path) -> None:
    """``load_from`` names a file that the other node has."""


def without_the_config(disk: Path) -> None:
    (disk / 'tiny.py').unlink()


@pytest.mark.parametrize(
    ('spoil', 'poor', 'expected'),
    [
        pytest.param(
            without_the_data,
            1,
            r"train_dataloader\.dataset\.dataset: The data root 'data' of ",
            marks=pytest.mark.slow,
        ),
        (without_a_label, 1, r"The label 'data/labels/3\.png' .*does not exist"),
        pytest.param(without_a_label, 0, r"'data/labels/3\.png'", marks=pytest.mark.slow),
        pytest.param(
            without_the_checkpoint,
            0,
            r"load_from: the checkpoint 'start\.pth' does not exist",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            without_the_config,
            1,
            r"the config file 'tiny\.py' does not exist",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_one_node_lacks_ends_both_with_the_sentence(
    tmp_path, spoil: Callable[[Path], None], poor: int, expected: str
) -> None:
    disks = [tmp_path / 'node0', tmp_path / 'node1']
    for disk in disks:
        make_run(disk)
        config = disk / 'tiny.py'
        config.write_text(config.read_text().replace(repr(str(disk / 'data')), "'data'"))
    spoil(disks[poor])
    options = []
    if spoil is without_the_checkpoint:
        from mmengine.runner import save_checkpoint

        save_checkpoint(dict(state_dict={}), str(disks[1 - poor] / 'start.pth'))
        options = ['--cfg-options', 'load_from=start.pth']

    ends = train_on_nodes(disks, *options)

    assert [code for code, _ in ends] == [2, 2], ends
    found = re.fullmatch(rf'error: rank {poor}: (.*{expected}.*)', ends[poor][1])
    assert found, ends
    rich = 1 - poor
    assert ends[rich][1] == f'error: rank {rich}: rank {poor} reported an error: {found[1]}'
