"""Each kind of bad input, wherever it can be met, ends in one sentence: file, expectation, fix.

The four places are training, testing, the start-up check alone, which reads the config and its data
and builds no model, and a run that resumes.
Checkpoints are met as ``load_from``, as the argument of the test tool, as ``Pretrained`` weights and
by ``--resume``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bad_inputs import CONFIG, DATA, MODEL, PAGE, Kind, half
from tiny_run import ROOT, make_run, test, train

from mmseg_ccdistill.datasets.file_check import check_dataset
from mmseg_ccdistill.engine.start_up_checks import check_data_roots
from mmseg_ccdistill.engine.training_draws import training_dataset
from mmseg_ccdistill.runtime.command_line import load_config, run_main

PLACES = ('train', 'test', 'check', 'resume')


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Path:
    """A run of two iterations, with its checkpoint."""
    run = make_run(tmp_path_factory.mktemp('trained'))
    patch = pytest.MonkeyPatch()
    with patch.context() as context:
        context.chdir(run)
        assert train(context, '--cfg-options', 'train_cfg.max_iters=2') == 0
    return run


@pytest.fixture
def run(tmp_path, monkeypatch, trained) -> Path:
    """A folder with data, ``tiny.py`` and a finished run as the working directory."""
    monkeypatch.chdir(make_run(tmp_path))
    (tmp_path / 'run').mkdir()
    checkpoint = (trained / 'run/iter_2.pth').read_bytes()
    (tmp_path / 'run/iter_2.pth').write_bytes(checkpoint)
    (tmp_path / 'run/last_checkpoint').write_text(str(tmp_path / 'run/iter_2.pth'))
    for name in ('RANK', 'WORLD_SIZE'):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def check() -> None:
    """The start-up check alone."""
    cfg = load_config('tiny.py')
    check_data_roots(cfg, ['train_dataloader', 'val_dataloader'])
    check_dataset(training_dataset(cfg))


def call(place: str, monkeypatch: pytest.MonkeyPatch, checkpoint: str) -> int:
    """Meet the input in one of the places."""
    if place == 'check':
        monkeypatch.setattr('sys.argv', ['check', 'tiny.py'])
        return run_main(check)
    if place == 'test':
        return test(monkeypatch, checkpoint)
    if place == 'resume':
        return train(monkeypatch, '--resume')
    return train(monkeypatch, work_dir='new')


def assert_one_sentence(kind: Kind, code: int, error: str) -> None:
    """One line that names file, expectation and fix, and exit code 2."""
    sentences = [line for line in error.splitlines() if line.startswith('error: ')]
    assert code == 2 and len(sentences) == 1, error[-2000:]
    assert 'Traceback' not in error
    for part in (kind.file, kind.expected, kind.fix):
        assert re.search(part, sentences[0]), (part, sentences[0])


def cases(kinds: list[Kind], places: tuple[str, ...]) -> list:
    """Kinds x places; the start-up check and every tenth of the others belong to the default run."""
    found = []
    for number, (place, kind) in enumerate((p, k) for p in places for k in kinds):
        marks = () if place == 'check' or number % 10 == 0 else pytest.mark.slow
        found.append(pytest.param(kind, place, id=f'{place}-{kind.name}', marks=marks))
    return found


@pytest.mark.parametrize(('kind', 'place'), cases(DATA, PLACES))
def test_bad_data(run, monkeypatch, capfd, kind, place) -> None:
    kind.spoil(run)
    code = call(place, monkeypatch, 'run/iter_2.pth')
    assert_one_sentence(kind, code, capfd.readouterr().err)


@pytest.mark.parametrize(
    ('kind', 'place'), [*cases(CONFIG, PLACES), *cases(MODEL, ('train', 'test', 'resume'))]
)
def test_bad_config(run, monkeypatch, capfd, kind, place) -> None:
    kind.spoil(run)
    code = call(place, monkeypatch, 'run/iter_2.pth')
    assert_one_sentence(kind, code, capfd.readouterr().err)


def test_the_page_states_these_numbers() -> None:
    page = ' '.join((ROOT / 'docs' / 'reliability.md').read_text(encoding='utf-8').split())
    assert f'{len(DATA)} kinds of bad data and {len(CONFIG)} kinds of bad config' in page
    assert f'{len(MODEL)} kinds of bad model config are met in the three places' in page
    assert f'In all {len(PLACES) * len(DATA + CONFIG) + 3 * len(MODEL)} cases' in page


# Checkpoints.


class Malice:
    """An object that would run code when it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ('harm',)


def saved(value: object) -> Callable[[Path], object]:
    """Write something that torch can save."""
    return lambda path: torch.save(value, path)


CHECKPOINTS = [
    ('missing', lambda path: path.unlink(), 'does not exist', r'\.pth file'),
    ('a folder', lambda path: (path.unlink(), path.mkdir()), 'is a folder', r'\.pth file'),
    ('empty', lambda path: path.write_bytes(b''), 'empty|damaged|cannot be read|not a', ''),
    ('cut off', lambda path: path.write_bytes(half(path.read_bytes())), 'damaged|cut|cannot|not a', ''),
    ('zeros', lambda path: path.write_bytes(bytes(5000)), 'damaged|cannot|not a', ''),
    ('a web page', lambda path: path.write_bytes(PAGE), 'damaged|cannot|not a', ''),
    ('malicious', saved(Malice()), 'mkdir|plain values', 'trust-pickle'),
    # Last: as Pretrained weights mmengine takes what fits, and warns.
    ('of another model', saved({'state_dict': {'a': torch.ones(3)}, 'meta': {}}), 'tensor', ''),
]  # fmt: skip


@pytest.mark.parametrize(
    ('spoil', 'expected', 'fix', 'place'),
    [
        pytest.param(
            *row[1:],
            place,
            id=f'{place}-{row[0]}',
            marks=() if place == 'test' else pytest.mark.slow,
        )
        for place in ('load_from', 'test', 'pretrained')
        for row in CHECKPOINTS[: 7 if place == 'pretrained' else None]
    ],
)
def test_bad_checkpoint(run, monkeypatch, capfd, spoil, expected, fix, place) -> None:
    path = run / 'weights.pth'
    path.write_bytes((run / 'run/iter_2.pth').read_bytes())
    spoil(path)
    if place == 'test':
        code = test(monkeypatch, 'weights.pth')
    elif place == 'load_from':
        code = train(monkeypatch, '--cfg-options', 'load_from=weights.pth', work_dir='new')
    else:
        key = 'model.backbone.init_cfg'
        settings = [f'{key}.type=Pretrained', f'{key}.checkpoint=weights.pth']
        code = train(monkeypatch, '--cfg-options', *settings, work_dir='new')
    kind = Kind('', lambda run: None, r'weights\.pth', expected, fix)
    assert_one_sentence(kind, code, capfd.readouterr().err)
    assert not (run / 'harm').exists()


@pytest.mark.parametrize(
    ('spoil', 'expected'), [pytest.param(*row[1:3], id=row[0]) for row in CHECKPOINTS[:7]]
)
def test_bad_checkpoint_to_resume_from(run, monkeypatch, capfd, spoil, expected) -> None:
    spoil(run / 'run/iter_2.pth')
    code = train(monkeypatch, '--resume')
    kind = Kind(
        '',
        lambda run: None,
        "'run'",
        f'nothing to resume.*({expected}|holds no)',
        'leave --resume out',
    )
    assert_one_sentence(kind, code, capfd.readouterr().err)
    assert not (run / 'harm').exists()


@pytest.mark.parametrize('place', ['train', 'test'])
@pytest.mark.parametrize('where', ['tiny.py', 'tiny.py/run', '/proc/run'])
def test_bad_work_dir(run, monkeypatch, capfd, where, place) -> None:
    if place == 'train':
        code = train(monkeypatch, work_dir=where)
    else:
        code = test(monkeypatch, 'run/iter_2.pth', '--work-dir', where)
    kind = Kind(
        '',
        lambda run: None,
        re.escape(where),
        'expected a folder that can be written',
        '--work-dir',
    )
    assert_one_sentence(kind, code, capfd.readouterr().err)
