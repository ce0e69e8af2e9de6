"""The command line of a resumed run counts, through our tool and MMSegmentation's own."""

from __future__ import annotations

import json
import re
import runpy
import shutil
from pathlib import Path

import mmseg
import pytest
from mmengine.logging import MessageHub, MMLogger
from mmseg.visualization import SegLocalVisualizer
from tiny_run import checkpoints, equal_weights, make_run, train

MORE = ('--cfg-options', 'train_cfg.max_iters=12', 'param_scheduler.0.end=12')
STOCK = Path(mmseg.__file__).parent / '.mim/tools/train.py'


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run of 6 iterations in ``run``, one of 12 in ``whole``; the folder is the working directory."""
    monkeypatch.chdir(make_run(tmp_path))
    for name in ('RANK', 'WORLD_SIZE', 'TORCHELASTIC_RUN_ID', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    assert train(monkeypatch) == 0
    return tmp_path


def rates(folder: Path) -> dict[int, float]:
    """Learning rates in the logs of a run, by iteration."""
    lines = [json.loads(line) for path in folder.rglob('scalars.json') for line in path.open()]
    return {line['step']: line['lr'] for line in lines if 'lr' in line}


def test_a_longer_run_has_the_rates_of_a_run_of_that_length(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    every = 'default_hooks.logger.interval=1'
    assert train(monkeypatch, *MORE, every, work_dir='whole') == 0
    capsys.readouterr()
    assert train(monkeypatch, '--resume', *MORE, every) == 0
    out = capsys.readouterr().out
    said = re.findall(r'resuming at iteration 6: .*', out)
    assert (
        len(said) == 1
        and 'param_scheduler.0.end 6 -> 12; the learning rate is now 0.0049' in said[0]
    )
    expected = rates(run / 'whole')
    resumed = {step: rate for step, rate in rates(run / 'run').items() if step > 6}
    assert sorted(resumed) == list(range(7, 13))
    assert resumed == {step: expected[step] for step in resumed}
    assert resumed[7] == pytest.approx(0.01 * (1 - 6 / 11) ** 0.9, rel=1e-3)
    assert checkpoints(run / 'run')[-1] == 'iter_12.pth'
    assert not equal_weights(run / 'run/iter_6.pth', run / 'run/iter_12.pth')


@pytest.mark.parametrize(
    ('options', 'optimizer', 'sentence'),
    [
        (
            ['train_cfg.max_iters=12'],
            "dict(type='SGD', lr=0.01, momentum=0.9)",
            'error: train_cfg.max_iters is 12, but param_scheduler.0.end is 6, where the learning rate ends at 0: '
            'iterations 7 to 12 would train nothing; move the end of the schedule, too: --cfg-options '
            'train_cfg.max_iters=12 param_scheduler.0.end=12',
        ),
        (
            MORE[1:],
            "dict(type='AdamW', lr=0.1)",
            'error: the optimizer of the checkpoint is SGD, that of the config (optim_wrapper.optimizer.type) is '
            "AdamW: its state does not fit; configure the checkpoint's optimizer, or start a run of its own from these "
            'weights: load_from=CHECKPOINT, another work dir, no resume',
        ),
    ],
)
def test_what_cannot_go_on_ends_in_a_sentence(
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    optimizer: str,
    sentence: str,
) -> None:
    text = (run / 'tiny.py').read_text()
    (run / 'tiny.py').write_text(text.replace("dict(type='SGD', lr=0.01, momentum=0.9)", optimizer))
    before = {path: path.read_bytes() for path in (run / 'run').glob('*.pth')}
    assert train(monkeypatch, '--resume', '--cfg-options', *options) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error')]
    assert errors == [sentence]
    assert {path: path.read_bytes() for path in (run / 'run').glob('*.pth')} == before


def test_a_finished_run_says_so(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / 'run/iter_6.pth').read_bytes()
    capsys.readouterr()
    assert train(monkeypatch, '--resume') == 0
    expected = 'this run is finished: 6 iterations are done, train_cfg asks for 6, so nothing is trained; to train on,'
    assert capsys.readouterr().out.count(expected) == 1
    assert (run / 'run/iter_6.pth').read_bytes() == before


def test_a_path_after_resume_is_an_error(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match='2'):
        train(monkeypatch, '--resume', 'run/iter_6.pth')
    command = '--work-dir run --cfg-options resume=True load_from=run/iter_6.pth'
    assert f'leave --resume out and write: {command}' in capsys.readouterr().err
    # and that command does it
    assert train(monkeypatch, *MORE, 'resume=True', 'load_from=run/iter_6.pth') == 0
    assert checkpoints(run / 'run') == ['iter_6.pth', 'iter_12.pth']


def test_the_stock_tool(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook does it, so MMSegmentation's own train.py continues with the same weights."""
    if not STOCK.is_file():
        pytest.skip('this build of mmseg comes without its tools')
    shutil.copytree(run / 'run', run / 'stock')
    (run / 'stock/last_checkpoint').write_text(str(run / 'stock/iter_6.pth'))
    assert train(monkeypatch, '--resume', *MORE) == 0
    for kept in (SegLocalVisualizer, MMLogger, MessageHub):
        kept._instance_dict.clear()
    arguments = [str(STOCK), 'tiny.py', '--work-dir', 'stock', '--resume', *MORE]
    monkeypatch.setattr('sys.argv', arguments)
    runpy.run_path(str(STOCK), run_name='__main__')
    assert equal_weights(run / 'run/iter_12.pth', run / 'stock/iter_12.pth')
