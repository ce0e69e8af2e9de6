"""The family of plain errors: what belongs to it, its exit codes, and its messages out of data workers."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import mmseg_ccdistill
from mmseg_ccdistill.engine.hooks import RichProgressHook, SafeStopHook
from mmseg_ccdistill.errors import PlainError, RunError, UserInputError
from mmseg_ccdistill.models.losses import CDCLoss, CDSLoss, js_divergence
from mmseg_ccdistill.runtime.command_line import run_main

#: Exceptions that do not end a program by themselves.
INTERNAL = {
    'ConfigTextError',  # the reader of a checkpoint says which file it is
    'ExportMismatchError',  # tools/model_converters/night2mmseg.py reports it with its own exit code
    'FileNotWrittenError',  # an OSError, which whoever writes the file reports
    'StoppedBySignal',  # an exit with the signal's code
    'UnreadableFileError',  # a finding, collected with others
}


def _own_exceptions() -> dict[str, type[BaseException]]:
    found = {}
    for module in pkgutil.walk_packages(mmseg_ccdistill.__path__, 'mmseg_ccdistill.'):
        for name, value in vars(importlib.import_module(module.name)).items():
            is_own = inspect.isclass(value) and value.__module__.startswith('mmseg_ccdistill')
            if is_own and issubclass(value, BaseException):
                found[name] = value
    return found


def test_every_error_belongs_to_the_family_or_says_why_not() -> None:
    outside = {n for n, error in _own_exceptions().items() if not issubclass(error, PlainError)}
    assert outside == INTERNAL


def test_the_exit_codes() -> None:
    family = [
        e for e in _own_exceptions().values() if issubclass(e, PlainError) and e is not PlainError
    ]
    assert {e.exit_code for e in family} == {1, 2}
    assert all(issubclass(e, UserInputError) != issubclass(e, RunError) for e in family)
    assert UserInputError.exit_code == 2 and issubclass(UserInputError, ValueError)
    assert RunError.exit_code == 1 and issubclass(RunError, RuntimeError)


@pytest.mark.parametrize(
    ('build', 'sentence'),
    [
        (lambda: RichProgressHook(0), 'RichProgressHook: interval must be at least 1, got 0'),
        (lambda: SafeStopHook(stop_timeout=0), 'SafeStopHook: stop_timeout must be positive, got 0.'),
        (lambda: CDCLoss(cor_pool=0), 'CDCLoss: cor_pool must be at least 1, got 0.'),
        (lambda: CDSLoss(detach='both'), "CDSLoss: detach must be None, 'source' or 'target', got 'both'."),
    ],
    ids=['progress', 'safe stop', 'cdc', 'cds'],
)  # fmt: skip
def test_a_wrong_setting_ends_in_its_sentence(build, sentence, capsys, monkeypatch) -> None:
    monkeypatch.setattr('sys.argv', ['train.py', 'c.py'])
    assert run_main(build) == 2
    assert capsys.readouterr().err == f'error: {sentence}\n'


def test_a_fault_of_the_code_keeps_its_traceback(monkeypatch) -> None:
    maps = torch.zeros(1, 2, 3, 3)
    monkeypatch.setattr('sys.argv', ['train.py', 'c.py'])
    with pytest.raises(ValueError, match="reduction must be 'batchmean'"):
        run_main(lambda: js_divergence(maps, maps, reduction='total'))


class _Refusing(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        try:
            raise KeyError('what came before')
        except KeyError as error:
            raise UserInputError('UserInputError: is in the sentence, too') from error


def test_the_message_of_a_data_worker_is_the_sentence_alone() -> None:
    with pytest.raises(UserInputError) as raised:
        next(iter(DataLoader(_Refusing(), num_workers=1)))
    assert str(raised.value) == 'UserInputError: is in the sentence, too'


def test_a_plain_error_travels_between_processes() -> None:
    copy = pickle.loads(pickle.dumps(RunError('the disk is full; make room')))
    assert type(copy) is RunError and str(copy) == 'the disk is full; make room'
