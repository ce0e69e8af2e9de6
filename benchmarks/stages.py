"""Training stages as processes of their own, watched together, and evaluation of their checkpoints."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.apis import init_model
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

ROOT = Path(__file__).resolve().parents[1]

#: Seconds between two looks at the running stages, and between two plain lines without a terminal.
POLL_SECONDS, LINE_SECONDS = 0.5, 15.0


@dataclass(frozen=True, eq=False)
class Stage:
    """One training run.

    Attributes:
        name: Folder below the working directory.
        config: Config file relative to the repository.
        max_iters: Length of the run.
        start: Stage whose last checkpoint this one starts from; None: as the config says.
        seed: Random seed.
        options: Further config overrides, as ``--cfg-options`` takes them.
    """

    name: str
    config: str
    max_iters: int
    start: Stage | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def checkpoint(self, work_dir: Path) -> Path:
        """Path of the last checkpoint."""
        return work_dir / self.name / f'iter_{self.max_iters}.pth'

    def fingerprint(self, work_dir: Path) -> str:
        """What the run depends on: its command line, the config's content, and its first stage."""
        text = Config.fromfile(str(ROOT / self.config)).dump()
        before = self.start.fingerprint(work_dir) if self.start else ''
        parts = ' '.join(self.command(work_dir)[2:]) + text + before
        return hashlib.sha256(parts.encode()).hexdigest()

    def finished(self, work_dir: Path) -> bool:
        """Whether this very run has been done before."""
        record = work_dir / self.name / 'stage.json'
        if not record.exists() or not self.checkpoint(work_dir).exists():
            return False
        return json.loads(record.read_text())['fingerprint'] == self.fingerprint(work_dir)

    def seconds(self, work_dir: Path) -> float:
        """Duration of the finished run."""
        return float(json.loads((work_dir / self.name / 'stage.json').read_text())['seconds'])

    def command(self, work_dir: Path) -> list[str]:
        """Command line that trains this stage."""
        options = {
            'train_cfg.max_iters': self.max_iters,
            'train_cfg.val_interval': self.max_iters,
            'param_scheduler.0.end': self.max_iters,
            'default_hooks.checkpoint.interval': self.max_iters,
            'default_hooks.logger.interval': 10,
            'log_processor.window_size': 10,
            'randomness.seed': self.seed,
            'load_from': str(self.start.checkpoint(work_dir)) if self.start else None,
            **self.options,
        }
        return [
            sys.executable,
            str(ROOT / 'tools/train.py'),
            str(ROOT / self.config),
            '--work-dir',
            str(work_dir / self.name),
            '--cfg-options',
            *(f'{key}={value}' for key, value in options.items()),
        ]


def scalars(run_dir: Path) -> list[dict[str, Any]]:
    """Logged values of the newest run in ``run_dir``, one dict per logging interval (empty before the first)."""
    files = sorted(run_dir.glob('*/vis_data/scalars.json'))
    if not files:
        return []
    rows = []
    for line in files[-1].read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:  # the line that is just being written
            break
    return rows


def _memory(process: subprocess.Popen) -> str:
    """Resident memory of a running process where the system tells it, else nothing."""
    try:
        status = Path(f'/proc/{process.pid}/status').read_text()
    except OSError:
        return ''
    match = re.search(r'VmRSS:\s+(\d+) kB', status)
    return f' {int(match.group(1)) / 2**20:.1f}G' if match else ''


def _describe(row: Mapping[str, Any]) -> str:
    terms = {
        'loss': row.get('loss'),
        'seg': row.get('source_night.loss_seg', row.get('decode.loss_seg')),
        'pseudo': row.get('target_night.loss_pseudo'),
    }
    text = ' '.join(f'{name} {value:.2f}' for name, value in terms.items() if value is not None)
    return text + (f' GPU {row["memory"] / 1024:.1f}G' if row.get('memory') else '')


def run_stages(stages: Sequence[Stage], work_dir: Path, jobs: int, threads: int) -> None:
    """Train ``stages``, at most ``jobs`` at a time; a stage waits for the one it starts from.

    A stage that has been done before, with the same command and config, is not run again. Output of
    each run goes to ``<stage>/train.log``.

    Args:
        stages (Sequence[Stage]): What to train.
        work_dir (Path): Folder of the runs.
        jobs (int): Number of processes at a time.
        threads (int): CPU threads per process.

    Raises:
        RuntimeError: If a stage fails; the message holds the end of its log.
    """
    starts = [stage.start for stage in stages if stage.start is not None]
    finished = {stage for stage in {*stages, *starts} if stage.finished(work_dir)}
    waiting = [stage for stage in stages if stage not in finished]
    running: dict[Stage, subprocess.Popen] = {}
    console = Console()
    columns = [
        TextColumn('{task.description}'),
        BarColumn(6),
        TextColumn('{task.completed}/{task.total} ETA'),
        TimeRemainingColumn(compact=True),
        TextColumn('{task.fields[state]}'),
    ]
    last_line = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[Stage, Any] = {}
        started: dict[Stage, float] = {}
        try:
            while waiting or running:
                for stage in list(waiting):
                    ready = stage.start is None or stage.start in finished
                    if ready and len(running) < jobs:
                        waiting.remove(stage)
                        (work_dir / stage.name).mkdir(parents=True, exist_ok=True)
                        log = open(work_dir / stage.name / 'train.log', 'w')
                        env = dict(
                            os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads)
                        )
                        running[stage] = subprocess.Popen(
                            stage.command(work_dir),
                            cwd=ROOT,
                            env=env,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                        )
                        log.close()
                        tasks[stage] = progress.add_task(
                            stage.name, total=stage.max_iters, state='starting'
                        )
                        started[stage] = time.monotonic()
                time.sleep(POLL_SECONDS)
                plain_line = not console.is_terminal and time.monotonic() - last_line > LINE_SECONDS
                if plain_line:
                    last_line = time.monotonic()
                for stage, process in list(running.items()):
                    rows = [
                        row
                        for row in scalars(work_dir / stage.name)
                        if 'iter' in row or 'step' in row
                    ]
                    done = int(rows[-1].get('iter', rows[-1].get('step', 0))) if rows else 0
                    state = (_describe(rows[-1]) if rows else 'starting') + _memory(process)
                    progress.update(tasks[stage], completed=done, state=state)
                    if plain_line:
                        elapsed = time.monotonic() - started[stage]
                        eta = f'{elapsed / done * (stage.max_iters - done):.0f} s' if done else '?'
                        print(
                            f'{stage.name}: {done}/{stage.max_iters} ETA {eta} {state}', flush=True
                        )
                    if process.poll() is not None:
                        del running[stage]
                        if process.returncode or not stage.checkpoint(work_dir).exists():
                            log_file = work_dir / stage.name / 'train.log'
                            tail = '\n'.join(log_file.read_text().splitlines()[-25:])
                            raise RuntimeError(
                                f'stage {stage.name} failed, see {log_file}:\n{tail}'
                            )
                        progress.update(tasks[stage], completed=stage.max_iters, state=state)
                        seconds = time.monotonic() - started[stage]
                        if not console.is_terminal:
                            print(f'{stage.name}: done in {seconds:.0f} s {state}', flush=True)
                        record = {'fingerprint': stage.fingerprint(work_dir), 'seconds': seconds}
                        (work_dir / stage.name / 'stage.json').write_text(json.dumps(record))
                        finished.add(stage)
        finally:
            for process in running.values():
                process.terminate()
                process.wait()


def last_tenth(rows: Sequence[Mapping[str, Any]], prefixes: tuple[str, ...]) -> dict[str, float]:
    """Medians of logged values over the last tenth of a run, per key with one of the prefixes."""
    keys = sorted({key for row in rows for key in row if key.startswith(prefixes)})
    values = {key: [row[key] for row in rows if key in row] for key in keys}
    return {
        key: round(float(np.median(series[-max(len(series) // 10, 1) :])), 4)
        for key, series in values.items()
    }


def evaluate(
    config: str,
    checkpoint: Path,
    dataloader: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Test one checkpoint on one labelled set with mmseg's own metric.

    Args:
        config (str): Config file relative to the repository.
        checkpoint (Path): Checkpoint of that config.
        dataloader (dict): Config of the test dataloader.
        options (dict, optional): Config overrides. Defaults to None.

    Returns:
        dict: ``mIoU`` (percent, mean of the classes that occur), ``predictions`` and ``labels``: lists of uint8
        ``(H, W)`` maps in the order of the dataset, and ``images``: their paths.
    """
    cfg = Config.fromfile(str(ROOT / config))
    cfg.merge_from_dict(dict(options or {}))
    init_default_scope('mmseg')
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'
    model = init_model(cfg, str(checkpoint), device=device)
    loader = Runner.build_dataloader(dict(dataloader))
    evaluator = Evaluator(dict(type='IoUMetric', iou_metrics=['mIoU']))
    evaluator.dataset_meta = loader.dataset.metainfo
    predictions, labels, images = [], [], []
    with torch.no_grad():
        for batch in loader:
            outputs = model.test_step(batch)
            evaluator.process(outputs, batch)
            for sample in outputs:
                predictions.append(sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8))
                labels.append(sample.gt_sem_seg.data[0].cpu().numpy().astype(np.uint8))
                images.append(sample.img_path)
    metrics = evaluator.evaluate(len(loader.dataset))
    return dict(mIoU=float(metrics['mIoU']), predictions=predictions, labels=labels, images=images)


def best_constant_miou(labels: Sequence[np.ndarray], num_classes: int = 19) -> float:
    """MIoU in percent of the best prediction of one class everywhere (absent classes count only if predicted)."""
    pixels = np.concatenate([label[label < num_classes] for label in labels])
    counts = np.bincount(pixels, minlength=num_classes)
    present = max(int((counts > 0).sum()), 1)
    return float(100 * counts.max() / counts.sum() / present)
