"""``tools/train.py --dry-run``: what it runs, what it says, what it leaves, how it fails."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from tiny_run import make_run, read_config, train

from mmseg_ccdistill.engine import dry_run as module
from mmseg_ccdistill.engine.dry_run import DryRun, dry_run
from mmseg_ccdistill.errors import RunError, UserInputError


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project as the working directory, and a place for temporary files that can be looked into."""
    project = make_run(tmp_path / 'project')
    (tmp_path / 'temporary').mkdir()
    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'temporary'))
    monkeypatch.chdir(project)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'TORCHELASTIC_RUN_ID', 'SLURM_PROCID'):
        monkeypatch.delenv(name, raising=False)
    return project


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*'))


def test_it_goes_through_everything_and_leaves_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    before = files(run)
    assert train(monkeypatch, '--dry-run') == 0
    out = capfd.readouterr().out
    assert 'dry run: 3 iterations, validation of 2 images, a checkpoint of ' in out
    for part in (
        'iterations a second',
        'of memory, the whole process',
        'as iterations 1, 3, 6 of',
        'decode.loss_seg',
    ):
        assert part in out, part
    left = [name for name in files(run) if '__pycache__' not in name and name not in before]
    assert left == ['data/.ccdistill_manifest.json']  # of the check of the data's files
    assert not list((run.parent / 'temporary').glob('ccdistill*'))


def test_validation_saving_and_resuming_are_those_of_a_run(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three iterations and a validation of two images; then one more, from the checkpoint, to the end."""
    seen: list[Any] = []
    real = module._train

    def watched(config: Config, hook: Any) -> None:
        folder = Path(config.work_dir)
        seen.append((config.train_cfg.max_iters, config.resume, config.load_from))
        real(config, hook)
        seen.append((sorted(p.name for p in folder.glob('iter_*.pth')), len(hook.times)))

    monkeypatch.setattr(module, '_train', watched)
    config = read_config(run)
    config.work_dir = 'run'
    found = dry_run(config)
    checkpoint = seen[2][2]
    assert seen == [
        (3, False, None),
        (['iter_3.pth'], 3),
        (4, True, checkpoint),
        (['iter_3.pth', 'iter_4.pth'], 4),
    ]
    assert Path(checkpoint).name == 'iter_3.pth'
    assert config.train_cfg.max_iters == 6 and config.work_dir == 'run'
    assert found.places == (1, 3, 6) and found.validates and found.device == 'cpu'
    assert found.memory > 50e6 and found.checkpoint > 1000 and found.its_per_second > 0
    assert found.losses['loss'] > 0


def test_a_model_is_told_the_places_of_the_whole_run() -> None:
    told: list[tuple[int, int]] = []

    class Model:
        def set_iteration(self, iteration: int, max_iters: int) -> None:
            told.append((iteration, max_iters))

    class Runner:
        model = Model()
        iter = 0

    hook = module._Places(50_000)
    for Runner.iter in range(4):
        hook.before_train_iter(Runner, 0)
        hook.after_train_iter(
            Runner, 0, outputs=dict(loss=torch.tensor(2.0 - Runner.iter), off_loss=0.0, acc=1.0)
        )
    assert told == [(0, 50_000), (24_999, 50_000), (49_999, 50_000), (49_999, 50_000)]
    assert hook.losses == dict(loss=-1.0, off_loss=0.0)


def test_a_loss_that_is_not_finite_ends_it() -> None:
    class Runner:
        iter = 1

    with pytest.raises(RunError, match='dry run: a.loss is nan at iteration 2: look at the inputs'):
        module._Places(10).after_train_iter(Runner, 0, outputs={'a.loss': float('nan')})


def test_a_fault_is_one_sentence_that_names_the_stage(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    def broken(config: Config, hook: Any) -> None:
        raise RuntimeError('CUDA out of memory.\nTried to allocate')

    monkeypatch.setattr(module, '_train', broken)
    assert train(monkeypatch, '--dry-run') == 1
    (sentence,) = [
        line for line in capfd.readouterr().err.splitlines() if line.startswith('error:')
    ]
    assert sentence == (
        'error: dry run: training, validation or saving failed (RuntimeError: CUDA out of memory. Tried to allocate); '
        'without --dry-run the run would end there, with a traceback.'
    )


def test_a_run_of_epochs_is_refused() -> None:
    with pytest.raises(UserInputError, match='train_cfg has no max_iters'):
        dry_run(Config(dict(train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2))))


def test_predictions_of_the_validation_go_to_the_temporary_folder(
    run: Path, tmp_path: Path
) -> None:
    config = read_config(run)
    config.val_evaluator.output_dir = str(run / 'mine')
    short = module._shortened(config, tmp_path, 3)
    assert short.val_evaluator[0].output_dir == str(tmp_path / 'predictions_0')
    assert config.val_evaluator.output_dir == str(run / 'mine')


@pytest.mark.parametrize('option', [['--resume'], ['--launcher', 'pytorch']])
def test_it_starts_from_the_config_in_one_process(
    option: list[str], run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as ended:
        train(monkeypatch, '--dry-run', *option)
    assert ended.value.code == 2
    assert '--dry-run starts from the config, in one process' in capfd.readouterr().err


def test_the_report() -> None:
    text = DryRun({'loss': 1.5}, (1, 2, 3), 12.3, 5 * 2**30, 'cuda', 2**29, False).describe()
    assert 'dry run: 3 iterations, a checkpoint of 536.9 MB, and one more' in text
    assert (
        '  memory  5.00 GiB of GPU memory, at most' in text and '12.3 iterations a second' in text
    )
