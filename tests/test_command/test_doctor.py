"""Each verdict of the doctor has its reason and one fix."""

from __future__ import annotations

import os
import re

import pytest
from click.testing import CliRunner

from ccdistill import doctor
from ccdistill.command import ccdistill
from ccdistill.doctor import FAIL, OK, WARN, Finding

GOOD = dict(error=None, torch='2.9', cuda='12.8', gpus=[('H100', 80 * 10**9)], compiled=False)


def test_an_old_python_fails() -> None:
    assert doctor.check_python((3, 9)).verdict == FAIL
    assert doctor.check_python((3, 10)).verdict == OK


def test_a_stack_that_imports_is_well() -> None:
    found = doctor.check_stack(GOOD)
    assert found[:3] == (OK, 'stack', 'mmseg_ccdistill imports; mmcv is without compiled operators')


@pytest.mark.parametrize(
    ('error', 'text', 'fix'),
    [
        (
            'Two MMSegmentation stacks are installed, and each has overwritten files of the other: '
            '`pip uninstall mmcv`, then install one.',
            'Two MMSegmentation stacks are installed, and each has overwritten files of the other',
            '`pip uninstall mmcv`, then install one.',
        ),
        (
            'libGL.so.1: cannot open shared object file',
            'libGL.so.1: cannot open shared object file',
            '`pip uninstall opencv-python`, then `pip install opencv-python-headless`',
        ),
        (
            'the import of the package ended the process with signal 11 (x)',
            'the import of the package ended the process with signal 11 (x)',
            "make a new environment and `pip install 'mmseg-ccdistill[onedl]'` there",
        ),
    ],
)
def test_a_broken_stack_fails_with_its_fix(error, text, fix) -> None:
    assert doctor.check_stack({**GOOD, 'error': error}) == Finding(FAIL, 'stack', text, fix)


@pytest.mark.parametrize(
    ('changes', 'has_driver', 'verdict', 'text'),
    [
        ({}, True, OK, 'H100, 80 GB'),
        ({'gpus': [('T4', 8 * 10**9)]}, True, WARN, 'T4, 8 GB'),
        ({'gpus': []}, False, WARN, 'none'),
        ({'gpus': [], 'cuda': None}, True, WARN, 'torch 2.9 is built for CPUs only'),
        ({'gpus': []}, True, WARN, 'torch, built for CUDA 12.8, sees none'),
        ({'gpus': [], 'torch': None}, False, FAIL, 'torch cannot be imported'),
    ],
)
def test_gpus(changes, has_driver, verdict, text) -> None:
    found = doctor.check_gpu({**GOOD, **changes}, has_driver)
    assert found[:3] == (verdict, 'gpu', text)
    assert bool(found.fix) == (verdict != OK)


def test_memory_and_cores() -> None:
    assert doctor.check_memory(16 * 10**9, 4) == Finding(OK, 'memory', '16.0 GB, 4 cores')
    assert doctor.check_memory(4 * 10**9, 1)[:3] == (WARN, 'memory', '4.0 GB, 1 core')


@pytest.mark.parametrize(('free', 'verdict'), [(1, FAIL), (5, WARN), (9, OK)])
def test_disk(tmp_path, monkeypatch, free, verdict) -> None:
    monkeypatch.setattr(doctor, 'free_bytes', lambda folder: free * 10**9)
    found = doctor.check_disk(str(tmp_path / 'work_dirs'))
    assert found.verdict == verdict
    assert found.text == f'{free}.0 GB free in {tmp_path / "work_dirs"}'


def test_a_folder_that_cannot_be_written_to(tmp_path) -> None:
    (tmp_path / 'file').touch()
    found = doctor.check_disk(str(tmp_path / 'file'))
    assert found[:3] == (FAIL, 'disk', f'{tmp_path / "file"} cannot be written to')


def test_shared_memory(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(doctor, 'free_bytes', lambda folder: 64 * 10**6)
    found = doctor.check_shared_memory(str(tmp_path))
    assert found[:3] == (WARN, 'shared memory', f'0.06 GB free in {tmp_path}')
    assert '--shm-size' in found.fix
    assert doctor.check_shared_memory(str(tmp_path / 'none')).verdict == OK


def test_the_page_of_a_machine_that_is_fit(monkeypatch) -> None:
    monkeypatch.setattr(doctor, 'probe_stack', lambda: GOOD)
    monkeypatch.setattr(doctor, 'free_bytes', lambda folder: 10**12)
    monkeypatch.setattr(doctor, 'memory_bytes', lambda: 64 * 10**9)
    result = CliRunner().invoke(ccdistill, ['doctor'])
    assert result.exit_code == 0
    assert '\nverdict: fit to train\n' in result.output
    block = re.search(r'```\n(.*?)\n```', result.output, flags=re.S)
    assert block is not None and block[1].startswith('system: ')
    assert re.search(r'^packages: .*numpy \d', block[1], flags=re.M)
    assert 'fix:' not in result.output


def test_the_page_of_a_machine_that_is_not(monkeypatch) -> None:
    monkeypatch.setattr(doctor, 'probe_stack', lambda: {**GOOD, 'error': 'broken'})
    result = CliRunner().invoke(ccdistill, ['doctor'])
    assert result.exit_code == 1
    assert 'verdict: not fit to train: stack' in result.output
    assert 'fix: make a new environment' in result.output


def test_the_block_names_no_home() -> None:
    home = os.path.expanduser('~')
    finding = Finding(OK, 'files', f'{home}/envs/a')
    assert '~/envs/a' in doctor.issue_block([finding], {})
    assert f'{home}/' not in doctor.issue_block([finding], {})


def test_files_that_are_gone(monkeypatch) -> None:
    def gone() -> None:
        raise FileNotFoundError('configs are not there: install the package again')

    monkeypatch.setattr(doctor, 'shipped_root', gone)
    assert doctor.check_files() == Finding(
        FAIL, 'files', 'configs are not there', 'install the package again'
    )
