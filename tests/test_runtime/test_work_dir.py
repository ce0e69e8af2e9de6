"""The folder of a run: named after its config, or as the command line says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from mmengine.config import Config

from mmseg_ccdistill.runtime.work_dir import default_work_dir, make_work_dir, set_work_dir

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ('in_config', 'argument', 'expected'),
    [
        (None, None, 'work_dirs/ccdistill/night_run'),
        ('from_config', None, 'from_config'),
        ('from_config', 'from_argument', 'from_argument'),
    ],
)
def test_work_dir_precedence(in_config, argument, expected, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # the folder is made
    config = Config(dict(work_dir=in_config))
    set_work_dir(config, 'configs/ccdistill/night_run.py', argument)
    assert Path(config.work_dir) == Path(expected)


@pytest.mark.parametrize(
    ('config', 'expected'),
    [
        ('configs/ccdistill/run.py', 'work_dirs/ccdistill/run'),
        ('configs/adaptsegnet/run.py', 'work_dirs/adaptsegnet/run'),
        ('configs/ccdistill/ablations/run.py', 'work_dirs/ccdistill/ablations/run'),
        ('configs/adaptsegnet/ablations/run.py', 'work_dirs/adaptsegnet/ablations/run'),
        ('configs/run.py', 'work_dirs/run'),
        ('../configs/ccdistill/run.yaml', 'work_dirs/ccdistill/run'),
        ('/data/configs/mine/configs/day/run.py', 'work_dirs/day/run'),
        ('/data/mine/run.py', 'work_dirs/mine/run'),
        ('./run.v2.py', 'work_dirs/project/run.v2'),
        ('/run.py', 'work_dirs/run'),
    ],
)
def test_the_folder_is_that_of_the_config(
    config: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'project').mkdir()
    monkeypatch.chdir(tmp_path / 'project')
    assert default_work_dir(config) == expected


def test_every_shipped_config_starts_from_the_last_checkpoint_of_another() -> None:
    files = [path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts]
    configs = {default_work_dir(str(path)): Config.fromfile(str(path)) for path in files}
    assert len(configs) == len(files)
    starts = [config.load_from for config in configs.values() if config.load_from is not None]
    assert len(starts) >= 10
    for start in starts:
        folder, _, name = start.rpartition('/')
        if folder in configs:
            config = configs[folder]
        else:  # a stage of a curriculum
            parent, _, stage = folder.rpartition('/')
            trained = {s.name: s.train for s in configs[parent].curriculum if 'train' in s}
            config = Config.fromfile(str(ROOT / trained[stage]))
        assert name == f'iter_{config.train_cfg.max_iters}.pth', start


def test_folders_are_made_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / 'a' / 'b'
    make_work_dir(str(folder))
    (folder / 'log').write_text('kept')
    make_work_dir(str(folder))
    assert (folder / 'log').read_text() == 'kept'


@pytest.mark.parametrize(
    ('inside', 'reason'), [('', 'File exists'), ('/run', 'Not a directory')], ids=['is', 'in']
)
def test_a_file_in_the_way_is_named(tmp_path: Path, inside: str, reason: str) -> None:
    (tmp_path / 'file').write_text('')
    path = f'{tmp_path}/file{inside}'
    with pytest.raises(ValueError) as caught:
        make_work_dir(path)
    assert str(caught.value) == (
        f'the work dir {path!r} cannot be made ({reason}): expected a folder that can be written; '
        'name another one with --work-dir'
    )


def test_a_read_only_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'access', lambda path, mode: False)  # root may write anywhere
    with pytest.raises(ValueError) as caught:
        make_work_dir(str(tmp_path))
    assert str(caught.value) == (
        f'the work dir {str(tmp_path)!r} is read-only: expected a folder that can be written; name '
        'another one with --work-dir or change its permissions'
    )
