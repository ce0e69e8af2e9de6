"""``ccdistill doctor``: is this machine fit for a training, and if not, what fixes it."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from .machine import SHARED_MEMORY, free_bytes, is_writable, memory_bytes, usable_cores
from .shipped_files import shipped_root
from .stack_probe import probe_stack

OK, WARN, FAIL = 'ok', 'warn', 'FAIL'
GB = 10**9
#: Three checkpoints of two RefineNet-R101 with their momenta, and a fourth while it is written: 1.9 GB each.
_DISK = 8 * GB
#: Below it no checkpoint of that size can be written.
_LEAST_DISK = 2 * GB
#: Room for the batches of some data workers; a container has 0.06 GB unless told otherwise.
_SHARED = 1 * GB
_MEMORY = 8 * GB
#: Weights, gradients, momentum and activations of an iteration of ccdistill/refinenet_r101_cs2dz in float32
#: (docs/performance.md).
_GPU_MEMORY = int(11.5 * 2**30)
#: Distributions of the issue block, in its order.
_PACKAGES = (
    *('mmseg-ccdistill', 'torch', 'numpy', 'opencv-python', 'opencv-python-headless', 'Pillow'),
    *('onedl-mmengine', 'onedl-mmcv', 'onedl-mmsegmentation'),
    *('mmengine', 'mmcv', 'mmcv-lite', 'mmsegmentation', 'safetensors', 'onnxruntime'),
)


class Finding(NamedTuple):
    """A verdict on one thing.

    Attributes:
        verdict: :data:`OK`, :data:`WARN` or :data:`FAIL`.
        subject: What was looked at.
        text: What was found.
        fix: What to do about it; empty if nothing is.
    """

    verdict: str
    subject: str
    text: str
    fix: str = ''


def check_python(found: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """Judge the interpreter."""
    text = platform.python_version()
    if found < (3, 10):
        return Finding(
            FAIL, 'python', text, 'install Python 3.10 or newer and make a new environment'
        )
    return Finding(OK, 'python', text)


def check_stack(stack: dict[str, Any]) -> Finding:
    """Judge the MMSegmentation stack, by the package's own sentence about it.

    Args:
        stack: What :func:`~ccdistill.stack_probe.probe_stack` found.
    """
    error = stack['error']
    if error is None:
        operators = 'with' if stack['compiled'] else 'without'
        return Finding(
            OK, 'stack', f'mmseg_ccdistill imports; mmcv is {operators} compiled operators'
        )
    if 'libGL' in error:
        fix = '`pip uninstall opencv-python`, then `pip install opencv-python-headless`'
    elif '`pip ' in error:
        return Finding(FAIL, 'stack', error.partition(':')[0], error.partition(':')[2].strip())
    else:
        fix = "make a new environment and `pip install 'mmseg-ccdistill[onedl]'` there"
    return Finding(FAIL, 'stack', error, fix)


def check_gpu(stack: dict[str, Any], has_driver: bool) -> Finding:
    """Judge the GPUs that torch sees.

    Args:
        stack: What :func:`~ccdistill.stack_probe.probe_stack` found.
        has_driver: Whether a driver of NVIDIA is installed.
    """
    if stack['gpus']:
        names = [f'{name}, {size / GB:.0f} GB' for name, size in stack['gpus']]
        if max(size for _, size in stack['gpus']) < _GPU_MEMORY:
            fix = 'train the R101 configs with --amp (9.7 GB), or set train_dataloader.batch_size=1'
            return Finding(WARN, 'gpu', '; '.join(names), fix)
        return Finding(OK, 'gpu', '; '.join(names))
    if stack['torch'] is None:
        return Finding(FAIL, 'gpu', 'torch cannot be imported', 'see stack')
    if has_driver and stack['cuda'] is None:
        fix = 'install a build of torch for CUDA; "Start locally" on the site of PyTorch has the command'
        return Finding(WARN, 'gpu', f'torch {stack["torch"]} is built for CPUs only', fix)
    if has_driver:
        fix = 'compare `nvidia-smi` with that version, and look at CUDA_VISIBLE_DEVICES'
        return Finding(WARN, 'gpu', f'torch, built for CUDA {stack["cuda"]}, sees none', fix)
    fix = 'use a machine with a GPU for Cityscapes; mini night and small configs run here'
    return Finding(WARN, 'gpu', 'none', fix)


def check_memory(size: int, cores: int) -> Finding:
    """Judge memory (bytes) and cores."""
    text = f'{size / GB:.1f} GB, {cores} {"core" if cores == 1 else "cores"}'
    if size < _MEMORY:
        fix = 'lower train_dataloader.num_workers, or give the container more'
        return Finding(WARN, 'memory', text, fix)
    return Finding(OK, 'memory', text)


def check_disk(folder: str) -> Finding:
    """Judge the folder that runs write to."""
    free = free_bytes(folder)
    where = os.path.abspath(folder)
    if not is_writable(folder):
        fix = 'go to a folder of yours, or name one with --work-dir'
        return Finding(FAIL, 'disk', f'{where} cannot be written to', fix)
    if free is None:
        return Finding(WARN, 'disk', f'{where}: free space is unknown', 'look with `df -h`')
    text, fix = (
        f'{free / GB:.1f} GB free in {where}',
        'make room, or set --work-dir to another disk',
    )
    if free < _DISK:
        return Finding(FAIL if free < _LEAST_DISK else WARN, 'disk', text, fix)
    return Finding(OK, 'disk', text)


def check_shared_memory(folder: str = SHARED_MEMORY) -> Finding:
    """Judge the shared memory that data workers hand batches over in."""
    if not os.path.isdir(folder):
        return Finding(OK, 'shared memory', f'this system has no {folder}')
    free = free_bytes(folder) or 0
    text = f'{free / GB:.2f} GB free in {folder}'
    if free < _SHARED:
        fix = 'start the container with `--shm-size=8g`, or lower train_dataloader.num_workers'
        return Finding(WARN, 'shared memory', text, fix)
    return Finding(OK, 'shared memory', text)


def check_files() -> Finding:
    """Judge whether configs and tools are there."""
    try:
        return Finding(OK, 'files', f'configs and tools in {shipped_root()}')
    except FileNotFoundError as error:
        return Finding(FAIL, 'files', *(part.strip() for part in str(error).split(':', 1)))


def installed_versions() -> dict[str, str]:
    """Versions of the installed distributions that a bug report needs."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def issue_block(findings: Sequence[Finding], versions: dict[str, str]) -> str:
    """Lines to paste into a bug report: system, versions and findings, without names of users or machines."""
    system = f'{platform.system()} {platform.release()} {platform.machine()}'
    packages = ', '.join(f'{name} {number}' for name, number in versions.items())
    home = os.path.expanduser('~')
    lines = [f'{f.verdict:<5} {f.subject}: {f.text.replace(home, "~")}' for f in findings]
    return '\n'.join(['```', f'system: {system}', f'packages: {packages}', *lines, '```'])


def examine(work_dir: str) -> list[Finding]:
    """All findings, in the order in which they are shown."""
    stack = probe_stack()
    has_driver = shutil.which('nvidia-smi') is not None or os.path.exists('/proc/driver/nvidia')
    return [
        check_python(),
        check_files(),
        check_stack(stack),
        check_gpu(stack, has_driver),
        check_memory(memory_bytes(), usable_cores()),
        check_disk(work_dir),
        check_shared_memory(),
    ]


def show(work_dir: str) -> int:
    """Print the findings, a verdict, and the block for a bug report.

    Returns:
        Exit code: 1 if something keeps a training from running.
    """
    findings = examine(work_dir)
    for finding in findings:
        print(f'{finding.verdict:<5} {finding.subject:<14} {finding.text}')
        if finding.fix:
            print(f'{"":<20} fix: {finding.fix}')
    failed = [finding.subject for finding in findings if finding.verdict == FAIL]
    verdict = f'not fit to train: {", ".join(failed)}' if failed else 'fit to train'
    print(
        f'\nverdict: {verdict}\n\nFor a bug report:\n{issue_block(findings, installed_versions())}'
    )
    return 1 if failed else 0
