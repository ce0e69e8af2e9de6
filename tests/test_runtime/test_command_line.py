"""The command line of the tools: a config with its settings, and how a tool ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import distributed as torch_dist

from mmseg_ccdistill.errors import RunError, UserInputError
from mmseg_ccdistill.runtime import command_line, start_together


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_config_is_loaded_with_overrides(tmp_path) -> None:
    path = _write(tmp_path / 'a.py', 'train_dataloader = dict(batch_size=2, num_workers=4)')
    config = command_line.load_config(path, {'train_dataloader.batch_size': 8})
    assert config.train_dataloader == dict(batch_size=8, num_workers=4)


@pytest.mark.parametrize(
    ('name', 'text', 'expected'),
    [
        ('missing.py', None, 'does not exist'),
        ('a.py', "_base_ = './gone.py'", 'gone.py'),
        ('a.txt', 'x = 1', 'cannot be read'),
    ],
)
def test_config_that_cannot_be_read_is_named(tmp_path, name, text, expected) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserInputError, match=name) as raised:
        command_line.load_config(str(path))
    assert expected in str(raised.value)


def test_config_that_is_a_folder_is_named(tmp_path) -> None:
    with pytest.raises(UserInputError, match='is a folder'):
        command_line.load_config(str(tmp_path))


def test_a_shipped_config_goes_by_its_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = command_line.load_config('refinenet/refinenet_small_mini', {'randomness.seed': 5})
    assert config.filename.endswith('configs/refinenet/refinenet_small_mini.py')
    assert config.randomness.seed == 5


def test_a_file_goes_before_a_shipped_config_of_its_name(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'ccdistill').mkdir()
    _write(tmp_path / 'ccdistill/refinenet_r101_cs2dz.py', 'randomness = dict(seed=7)')
    config = command_line.load_config('ccdistill/refinenet_r101_cs2dz.py')
    assert config.randomness == dict(seed=7)


def test_a_name_that_no_config_has_gets_the_nearest() -> None:
    with pytest.raises(UserInputError) as raised:
        command_line.config_file('refinenet/refinenet_smal_mini')
    assert str(raised.value) == (
        "the config file 'refinenet/refinenet_smal_mini' does not exist; give the path of a config, or the name of one "
        'that ships, such as refinenet/refinenet_small_mini'
    )


def _fail(error: Exception) -> None:
    raise error


def test_run_main_prints_one_sentence_for_a_users_mistake(capsys) -> None:
    assert command_line.run_main(lambda: _fail(UserInputError('no such folder; make it'))) == 2
    assert capsys.readouterr().err == 'error: no such folder; make it\n'
    assert command_line.run_main(lambda: None) == 0


def test_run_main_prints_one_sentence_for_a_run_that_cannot_go_on(capsys) -> None:
    assert command_line.run_main(lambda: _fail(RunError('the disk is full; make room'))) == 1
    assert capsys.readouterr().err == 'error: the disk is full; make room\n'


def test_run_main_leaves_a_fault_of_the_code_its_traceback() -> None:
    with pytest.raises(KeyError):
        command_line.run_main(lambda: _fail(KeyError('bug')))
    with pytest.raises(ValueError, match='bug'):
        command_line.run_main(lambda: _fail(ValueError('bug')))


@pytest.mark.parametrize(
    ('command', 'variables', 'expected'),
    [
        (['train.py', '--launcher', 'pytorch'], dict(RANK='1', WORLD_SIZE='2'), 'rank 1: '),
        (['train.py', '--launcher=pytorch'], dict(RANK='0', WORLD_SIZE='2'), 'rank 0: '),
        (['train.py', '--launcher', 'pytorch'], dict(RANK='0', WORLD_SIZE='1'), ''),
        (
            ['test.py', '--launcher', 'slurm'],
            dict(SLURM_PROCID='7', SLURM_NTASKS='8', RANK='1', WORLD_SIZE='2'),
            'rank 7: ',
        ),
        # Not started by a launcher: what a cluster sets for every program means nothing.
        (['train.py'], dict(RANK='1'), ''),
        (['train.py'], dict(RANK='1', WORLD_SIZE='2'), ''),
        (['submit.py', '--out', 'x'], dict(RANK='1', WORLD_SIZE='2', SLURM_PROCID='3'), ''),
        (['compare.py', '--launcher'], dict(RANK='1', WORLD_SIZE='2'), ''),
    ],
)
def test_run_main_speaks_for_every_rank(capsys, monkeypatch, command, variables, expected) -> None:
    monkeypatch.delenv('MASTER_ADDR', raising=False)
    monkeypatch.setattr('sys.argv', command)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert command_line.run_main(lambda: _fail(UserInputError('no such folder; make it'))) == 2
    assert capsys.readouterr().err == f'error: {expected}no such folder; make it\n'


def test_run_main_after_ctrl_c(capsys) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert command_line.run_main(interrupted) == 130
    assert 'Interrupted' in capsys.readouterr().err


@pytest.mark.parametrize(
    'end', [None, UserInputError('no label'), RunError('lost'), RuntimeError('gloo/transport')]
)
def test_run_main_ends_the_threads_of_the_process_group_itself(tmp_path, monkeypatch, end) -> None:
    # Left to the interpreter's end, they abort the process now and then: exit code -6 in place of 2.
    monkeypatch.setenv('WORLD_SIZE', '2')

    def main() -> None:
        store = torch_dist.FileStore(str(tmp_path / 'store'), 1)
        torch_dist.init_process_group('gloo', store=store, rank=0, world_size=1)
        monkeypatch.setattr(start_together, '_store', store)
        if end is not None:
            raise end

    command_line.run_main(main)

    assert not torch_dist.is_initialized()
    assert start_together._store is None
