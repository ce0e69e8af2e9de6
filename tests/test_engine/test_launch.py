import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg_ccdistill.engine import launch
from mmseg_ccdistill.engine.hooks.progress_hook import RichProgressHook, duration_text
from mmseg_ccdistill.engine.launch import UserInputError


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch) -> None:
    for variables in launch.RANK_VARIABLES.values():
        for name in variables:
            monkeypatch.setenv(name, '0')  # restored afterwards, whatever the code sets
            monkeypatch.delenv(name)


def _write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_config_is_loaded_with_overrides(tmp_path) -> None:
    path = _write(tmp_path / 'a.py', 'train_dataloader = dict(batch_size=2, num_workers=4)')
    config = launch.load_config(path, {'train_dataloader.batch_size': 8})
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
        launch.load_config(str(path))
    assert expected in str(raised.value)


def test_config_that_is_a_folder_is_named(tmp_path) -> None:
    with pytest.raises(UserInputError, match='is a folder'):
        launch.load_config(str(tmp_path))


@pytest.mark.parametrize(
    ('in_config', 'argument', 'expected'),
    [
        (None, None, 'work_dirs/night_run'),
        ('from_config', None, 'from_config'),
        ('from_config', 'from_argument', 'from_argument'),
    ],
)
def test_work_dir_precedence(in_config, argument, expected, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # the folder is made
    config = Config(dict(work_dir=in_config))
    launch.set_work_dir(config, 'configs/ccdistill/night_run.py', argument)
    assert Path(config.work_dir) == Path(expected)


def test_resume_in_an_empty_work_dir_says_so(tmp_path) -> None:
    config = Config(dict(work_dir=str(tmp_path / 'run'), load_from=None))
    with pytest.raises(UserInputError, match='nothing to resume in .*run.*--work-dir'):
        launch.resume_last_checkpoint(config)


def _training_checkpoint(path: Path, iteration: int = 20) -> Path:
    meta = dict(iter=iteration, time='20240131_235959')
    torch.save(dict(meta=meta, state_dict={}, message_hub={}, mmseg_ccdistill_version='0'), path)
    return path


def test_resume_takes_the_work_dirs_checkpoint_and_not_load_from(tmp_path) -> None:
    checkpoint = _training_checkpoint(tmp_path / 'iter_20.pth')
    (tmp_path / 'last_checkpoint').write_text(str(checkpoint))
    config = Config(dict(work_dir=str(tmp_path), load_from='source_only.pth', resume=False))

    launch.resume_last_checkpoint(config)

    # mmengine resumes from load_from when that is set, whatever lies in the work dir.
    assert config.resume is True and config.load_from == str(checkpoint)


def test_resume_follows_a_work_dir_that_was_moved(tmp_path) -> None:
    _training_checkpoint(tmp_path / 'iter_20.pth')
    (tmp_path / 'last_checkpoint').write_text('/gone/run/iter_20.pth\n')
    config = Config(dict(work_dir=str(tmp_path)))
    assert launch.resume_last_checkpoint(config) == str(tmp_path / 'iter_20.pth')


def test_resume_without_the_file_that_last_checkpoint_names(tmp_path) -> None:
    (tmp_path / 'last_checkpoint').write_text('/gone/run/iter_20.pth')
    with pytest.raises(UserInputError, match='iter_20.pth.*does not exist'):
        launch.resume_last_checkpoint(Config(dict(work_dir=str(tmp_path))))


def test_amp_needs_an_accelerator(monkeypatch) -> None:
    config = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    with pytest.raises(UserInputError, match='--amp needs a GPU'):
        launch.enable_amp(config)
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    for capability, dtype in (((7, 5), 'float16'), ((9, 0), 'bfloat16')):
        config = Config(dict(optim_wrapper=dict(type='OptimWrapper')))
        monkeypatch.setattr('torch.cuda.get_device_capability', lambda value=capability: value)
        launch.enable_amp(config)
        assert config.optim_wrapper.type == 'AmpOptimWrapper'
        assert config.optim_wrapper.dtype == dtype
    with pytest.raises(UserInputError, match='not ApexOptimWrapper'):
        launch.enable_amp(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))))


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_launcher_without_its_variables_says_how_to_start(launcher) -> None:
    with pytest.raises(UserInputError, match=f'--launcher {launcher} needs .* in the environment'):
        launch.set_up_processes(Config(dict()), launcher)


def test_single_process_needs_nothing() -> None:
    config = Config(dict())
    launch.set_up_processes(config, 'none', local_rank=0)
    assert config.launcher == 'none' and 'model_wrapper_cfg' not in config
    assert os.environ['LOCAL_RANK'] == '0'


@pytest.mark.parametrize('launcher', ['slurm', 'mpi'])
def test_gloo_is_started_without_a_gpu(launcher, monkeypatch) -> None:
    started, together = [], []

    def start(*args, **kwargs) -> None:
        started.append((args, kwargs))

    monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(launch.torch_dist, 'init_process_group', start)
    monkeypatch.setattr(launch, 'start_together', together.append)
    values = dict(zip(launch.RANK_VARIABLES[launcher], ('3', '8', '1'), strict=True))
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    config = Config(dict(env_cfg=dict(dist_cfg=dict(backend='nccl', timeout=60))))

    monkeypatch.delenv('MASTER_ADDR', raising=False)
    with pytest.raises(UserInputError, match='MASTER_ADDR'):
        launch.set_up_processes(config, launcher)
    monkeypatch.setenv('MASTER_ADDR', '127.0.0.1')
    monkeypatch.setenv('MASTER_PORT', '1')
    launch.set_up_processes(config, launcher)

    assert [process[:3] for process in together] == [(3, 8, 1)] * 2
    ((arguments, options),) = started
    assert arguments == ('gloo',) and options['timeout'].total_seconds() == 60
    assert [os.environ[name] for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')] == ['3', '8', '1']
    assert config.env_cfg.dist_cfg.backend == 'gloo'
    # torch's DDP refuses device ids for a module on the CPU.
    assert config.model_wrapper_cfg.device_ids is None
    assert config.model_wrapper_cfg.type == 'MMDistributedDataParallel'


def _catch(function, *args) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - any type
        function(*args)
    return raised.value


def test_only_our_own_complaints_are_deliberate() -> None:
    assert launch.is_deliberate(UserInputError('x'))
    assert launch.is_deliberate(_catch(RichProgressHook, 0))  # a raise statement of the package
    # A ValueError from below a line of the package, one from a library, and another type.
    assert not launch.is_deliberate(_catch(duration_text, float('nan')))
    assert not launch.is_deliberate(_catch(Config.fromstring, 'x = 1', '.nonsense'))
    assert not launch.is_deliberate(_catch(int, 'x'))
    assert not launch.is_deliberate(_catch({}.__getitem__, 'x'))


def test_complaints_are_known_without_their_source() -> None:
    text = """
def refuse(value):
    if value is None: raise ValueError('no value')
    try:
        int(value)
    except ValueError:
        raise
"""

    def refuse_in(module: str):
        scope = {'__name__': module}
        exec(compile(text, 'no_such_file.py', 'exec'), scope)
        return scope['refuse']

    assert launch.is_deliberate(_catch(refuse_in('mmseg_ccdistill.losses'), None))
    assert not launch.is_deliberate(_catch(refuse_in('elsewhere'), None))
    # What int() said, passed on.
    assert not launch.is_deliberate(_catch(refuse_in('mmseg_ccdistill.losses'), 'x'))


def _fail(error: Exception) -> None:
    raise error


def test_run_main_prints_one_sentence_for_a_users_mistake(capsys) -> None:
    assert launch.run_main(lambda: _fail(UserInputError('no such folder; make it'))) == 2
    assert capsys.readouterr().err == 'error: no such folder; make it\n'
    assert launch.run_main(lambda: None) == 0
    with pytest.raises(KeyError):
        launch.run_main(lambda: _fail(KeyError('bug')))
    with pytest.raises(ValueError, match='bug'):
        launch.run_main(lambda: _fail(ValueError('bug')))


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
    assert launch.run_main(lambda: _fail(UserInputError('no such folder; make it'))) == 2
    assert capsys.readouterr().err == f'error: {expected}no such folder; make it\n'


def test_run_main_after_ctrl_c(capsys) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert launch.run_main(interrupted) == 130
    assert 'Interrupted' in capsys.readouterr().err
