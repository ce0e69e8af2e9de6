"""Train to the end; train again, be killed on the way and resume: for every number of workers and processes.

    python resumed_runs.py FOLDER WORKERSxPROCESSES ...

A program of its own, because each run is a copy of a process that has imported everything and
computed nothing. Each process of a run writes what it saw, one line per iteration.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests/helpers')]

import torch  # noqa: E402
from meeting_port import meeting_port  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.dist import get_rank  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402
from mmseg.registry import HOOKS  # noqa: E402

from benchmarks.forked_training import fork, make_data, run_config, train  # noqa: E402
from mmseg_ccdistill.runtime.processes import set_up_processes  # noqa: E402

#: The killed run dies before this iteration (from 0), an odd number after its latest checkpoint.
KILLED_BEFORE = 5


@HOOKS.register_module()
class DiaryHook(Hook):
    """Writes the batch, the dropout seed, and the losses of every iteration to a file of this rank."""

    priority = 'LOWEST'

    def __init__(self, diary: str, killed_before: int | None = None) -> None:
        self.diary = f'{diary}.rank{{}}.jsonl'
        self.killed_before = killed_before

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter == self.killed_before:
            os.kill(os.getpid(), signal.SIGKILL)
        digest = hashlib.sha256()
        for domain in sorted(data_batch['inputs']):
            for image in data_batch['inputs'][domain]:
                digest.update(image.numpy().tobytes())
        files = [sample.img_path for sample in data_batch['data_samples']['source_day']]
        flips = [sample.get('flip') for sample in data_batch['data_samples']['target_night']]
        self.line = dict(iteration=runner.iter, pixels=digest.hexdigest(), files=files, flips=flips)
        self.line['dropout'] = torch.get_rng_state().sum().item()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        keys = [key for key in outputs if 'loss' in key]
        self.line['losses'] = {key: float(outputs[key]).hex() for key in sorted(keys)}
        with open(self.diary.format(get_rank()), 'a') as file:
            file.write(json.dumps(self.line) + '\n')


def start(config: Config, log: Path, rank: int, processes: int, port: int) -> int:
    def task() -> None:
        if processes > 1:
            names = ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')
            values = (rank, rank, processes, '127.0.0.1', port)
            os.environ.update({name: str(v) for name, v in zip(names, values, strict=True)})
            set_up_processes(config, 'pytorch')
        train(config)

    return fork(task, log.with_suffix(f'.rank{rank}.log'))


def run(config: Config, name: Path, processes: int, diary: dict[str, Any]) -> list[int]:
    """Train in one or two processes; returns their exit codes (minus the signal)."""
    config.custom_hooks.append(dict(type='DiaryHook', **diary))
    port = meeting_port()
    children = [start(config, name, rank, processes, port) for rank in range(processes)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def main(folder: Path, cases: list[str]) -> None:
    data = make_data(folder)
    codes = {}
    for case in cases:
        workers, processes = map(int, case.split('x'))
        for kind in ('whole', 'killed', 'resumed'):
            work_dir = folder / case / ('whole' if kind == 'whole' else 'broken')
            diary = dict(diary=str(folder / case / kind))
            if kind == 'killed':
                diary['killed_before'] = KILLED_BEFORE
            config = run_config(data, work_dir, workers)
            work_dir.parent.mkdir(exist_ok=True)
            codes[f'{case} {kind}'] = run(config, folder / case / kind, processes, diary)
    (folder / 'codes.json').write_text(json.dumps(codes))


if __name__ == '__main__':
    main(Path(sys.argv[1]), sys.argv[2:])
