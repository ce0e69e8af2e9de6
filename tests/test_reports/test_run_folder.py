from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from written_run import CONFIG, ROWS, write_run, write_start

from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.export.branch_export import write_config
from mmseg_ccdistill.reports.run_folder import read_environment, read_run


def test_a_run_is_read_with_its_config_curves_and_machine(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / 'a'))
    assert (run.config_name, run.seed, run.iterations) == ('small', 7, (4, 4))
    assert [row['step'] for row in run.rows] == [2, 4]
    assert [row['mIoU'] for row in run.validations] == [30.0]
    assert run.environment == {
        'sys.platform': 'linux',
        'Python': '3.11.7 (main)',
        'PyTorch': '2.13.0',
        'seed': '7',
    }


def test_a_resumed_run_is_read_from_its_start_with_its_last_config(tmp_path: Path) -> None:
    write_run(tmp_path)
    later = [{**ROWS[0], 'step': 6}]
    write_start(tmp_path, '20260102_040000', CONFIG.format(seed=7, lr=0.5), later)
    run = read_run(tmp_path)
    assert [row['step'] for row in run.rows] == [2, 4, 6]
    assert run.config.optim_wrapper.optimizer.lr == 0.5


def test_a_test_in_the_same_folder_is_no_training(tmp_path: Path) -> None:
    write_run(tmp_path)
    (tmp_path / '20260103_000000/vis_data').mkdir(parents=True)
    (tmp_path / '20260103_000000/vis_data/config.py').write_text('randomness = dict(seed=99)')
    assert read_run(tmp_path).seed == 7


def test_an_export_in_the_work_dir_is_not_its_config(tmp_path: Path) -> None:
    """``ccdistill export CONFIG CHECKPOINT work_dirs/NAME/night`` writes night.py there, later than the training."""
    write_run(tmp_path)
    write_config(tmp_path / 'night.py', Config(dict(model=None)), 'night branch of iter_4.pth')
    os.utime(tmp_path / 'small.py', (1, 1))
    assert read_run(tmp_path).config_name == 'small'
    (tmp_path / 'small.py').unlink()
    assert read_run(tmp_path).config_name == tmp_path.name


def test_a_log_without_the_block_says_nothing(tmp_path: Path) -> None:
    assert read_environment(tmp_path) == {}
    (tmp_path / 'a.log').write_text('hello\n    a: b\n')
    assert read_environment(tmp_path) == {}


def test_what_is_no_run_is_said_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match='does not exist: expected the work dir of a training'):
        read_run(tmp_path / 'none')
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserInputError, match='is a file: expected the work dir'):
        read_run(tmp_path / 'file')
    with pytest.raises(UserInputError, match='has logged nothing yet'):
        read_run(tmp_path)
    run = write_run(tmp_path / 'a')
    (run / '20260102_030405/vis_data/config.py').write_text('a = (')
    with pytest.raises(UserInputError, match=r"config.py' cannot be read \(\w+\)"):
        read_run(run)
    shutil.rmtree(run / '20260102_030405')
    with pytest.raises(UserInputError, match='has logged nothing yet'):
        read_run(run)


def test_a_validation_counts_as_progress(tmp_path: Path) -> None:
    """Few images: the log has an early step alone, the validation comes at the end."""
    write_start(tmp_path, '1', CONFIG.format(seed=7, lr=0.01), [ROWS[0], {'mIoU': 8.7, 'step': 4}])
    assert read_run(tmp_path).iterations == (4, 4)
