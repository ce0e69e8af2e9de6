"""The reproduction: plan, commands, forecast, tables and band by hand, and a whole run that is killed once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from layouts import bdd100k_night_list, make_acdc, make_bdd100k, make_cityscapes, make_dark_zurich
from mmengine.config import Config
from tool_project import load_tool

from benchmarks.reproduction import command, forecast, plan, seed_band, tables
from benchmarks.reproduction.plan import NightTest, set_aside
from benchmarks.stage_folder import finish_run, start_run
from benchmarks.step_cost import GIB, StepCost

ROOT = Path(__file__).resolve().parents[2]
SOURCE = 'configs/refinenet/refinenet_small_cityscapes.py'
ADAPTATION = 'configs/ccdistill/refinenet_small_cs2dz.py'


@pytest.fixture(scope='module')
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp('sets')
    bdd = make_bdd100k(folder / 'bdd100k', 'old')
    (bdd / 'lists').mkdir()
    (bdd / 'lists/bdd100k_night.txt').write_text(bdd100k_night_list())
    return {
        'cityscapes': str(make_cityscapes(folder / 'cityscapes', with_train_ids=True)),
        'dark_zurich': str(make_dark_zurich(folder / 'dark_zurich', pair_list=True)),
        'acdc': str(make_acdc(folder / 'acdc')),
        'bdd100k': str(bdd),
    }


def words_of(roots: dict[str, str], *more: str) -> list[str]:
    given = [word for name, root in roots.items() for word in (f'--{name.replace("_", "-")}', root)]
    return [*given, '--source-config', SOURCE, '--config', ADAPTATION, *more]


# --- plan ---------------------------------------------------------------------------------------


def test_the_plan_has_what_the_sets_allow(roots: dict[str, str]) -> None:
    stages = plan.plan(SOURCE, ADAPTATION, roots, 3)
    assert [stage.name for stage in stages] == [
        *('source', 'ccdistill'),
        *('source_dz-val', 'source_acdc-night-val', 'source_bdd100k-night'),
        *('ccdistill_dz-val', 'ccdistill_acdc-night-val', 'ccdistill_bdd100k-night'),
        *('submission_dz-test', 'submission_acdc-night-test'),
    ]
    assert [stage.max_iters for stage in stages[:2]] == [40000, 50000]
    assert stages[1].start is stages[0] and all(stage.seed == 3 for stage in stages)
    few = plan.plan(SOURCE, ADAPTATION, {k: roots[k] for k in ('cityscapes', 'dark_zurich')}, 0)
    assert [stage.name for stage in few if isinstance(stage, NightTest)] == [
        'source_dz-val', 'ccdistill_dz-val'
    ]  # fmt: skip
    assert command.images_of(few) == 50 + 50 + 151


def test_the_tools_understand_the_commands(roots: dict[str, str], tmp_path: Path) -> None:
    stages = {stage.name: stage for stage in plan.plan(SOURCE, ADAPTATION, roots, 3)}
    training = load_tool('tools/train.py').parse_args(stages['ccdistill'].command(tmp_path)[2:])
    assert training.config == str(ROOT / ADAPTATION)
    assert training.work_dir == str(tmp_path / 'ccdistill')
    settings = training.cfg_options
    assert settings['load_from'] == str(tmp_path / 'source/iter_40000.pth')
    assert settings['randomness.seed'] == 3
    assert settings['train_dataloader.dataset.source.data_root'] == roots['cityscapes']
    assert settings['train_dataloader.dataset.target.data_root'] == roots['dark_zurich']
    assert settings['val_dataloader.dataset.data_root'] == roots['dark_zurich']
    test = load_tool('tools/test_night.py').parse_args(
        stages['source_acdc-night-val'].command(tmp_path)[2:]
    )
    assert (test.config, test.sets) == (str(ROOT / SOURCE), ['acdc-night-val'])
    assert test.checkpoint == str(tmp_path / 'source/iter_40000.pth')
    assert test.cfg_options == {'acdc_night_val_dataloader.dataset.data_root': roots['acdc']}
    product = stages['source_acdc-night-val'].product(tmp_path)
    assert product == Path(test.out) / 'iter_40000_night.json'
    zipped = load_tool('tools/submit.py').parse_args(
        stages['submission_dz-test'].command(tmp_path)[2:]
    )
    assert (zipped.target, zipped.data_root) == ('dz-test', roots['dark_zurich'])
    assert zipped.out == str(stages['submission_dz-test'].product(tmp_path))


def test_a_resumed_training_gets_the_flag_where_it_is_read(roots: dict[str, str]) -> None:
    """``run_stages`` puts it behind the config."""
    stage = plan.plan(SOURCE, ADAPTATION, roots, 0)[0]
    words = stage.command(Path('/runs'))
    assert words[1].endswith('train.py') and words[2].endswith('.py') and stage.resumable
    assert load_tool('tools/train.py').parse_args([words[2], '--resume', *words[3:]]).resume


def test_what_was_cut_short_is_set_aside_and_what_is_finished_stays(
    roots: dict[str, str], tmp_path: Path
) -> None:
    stages = plan.plan(SOURCE, ADAPTATION, roots, 0)
    source, test = stages[0], stages[2]
    for stage in (source, test):
        start_run(tmp_path / stage.name, stage.fingerprint(tmp_path), False)
        stage.product(tmp_path).write_text('{}')
    finish_run(tmp_path / source.name, 1.0)
    set_aside(stages, tmp_path)
    assert source.finished(tmp_path) and not test.product(tmp_path).exists()
    (kept,) = test.product(tmp_path).parent.glob('iter_40000_night.*.json')
    assert kept.read_text() == '{}'
    test.product(tmp_path).write_text('{}')
    finish_run(tmp_path / test.name, 1.0)
    set_aside(stages, tmp_path)
    assert test.finished(tmp_path)


# --- forecast -----------------------------------------------------------------------------------


def test_the_forecast_by_hand(
    roots: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """SGD keeps one number for each parameter, AdamW two; three checkpoints stay, a fourth is being written."""
    monkeypatch.setattr(forecast, 'count_run', lambda config, iters: StepCost(2e12, 3 * GIB))
    stages = plan.plan(SOURCE, ADAPTATION, roots, 0)
    found = forecast.forecast(stages[1], 10.0)
    assert (found.its_per_second, found.iterations) == (5.0, 50000)
    assert found.hours == pytest.approx(50000 / 5 / 3600)
    trained = (found.memory - found.checkpoint - 3 * GIB) / 4
    assert 2 * 3.4e6 < trained < 2 * 3.6e6 + 2e5
    assert found.checkpoint == pytest.approx(8 * trained, rel=0.01)
    assert found.disk == 4 * found.checkpoint
    source = forecast.forecast(stages[0], 10.0)
    assert source.checkpoint == pytest.approx(12 * 3.47e6, rel=0.02)
    assert (
        command.main(
            words_of(roots, '--dry-run', '--tflops', '10', '--work-dir', str(tmp_path / 'runs'))
        )
        == 0
    )
    page = capsys.readouterr().out
    assert '| ccdistill | 50000 | 2.00 | 5.00 | 2.8 |' in page
    assert '8 tests and submissions of 1137 images: 0.2 hours' in page
    assert 'in all: 5.2 hours' in page and 'assumed: 10 TFLOP/s (--tflops)' in page
    assert not (tmp_path / 'runs').exists()


@pytest.mark.slow
def test_the_papers_own_forecast(roots: dict[str, str]) -> None:
    """10.9 TFLOP (docs/performance.md); 240.8 M parameters and as many momenta in a checkpoint."""
    stage = plan.plan(
        'configs/refinenet/refinenet_r101_cityscapes.py',
        'configs/ccdistill/refinenet_r101_cs2dz.py', roots, 0
    )[1]  # fmt: skip
    found = forecast.forecast(stage, 54.0)
    assert found.tflop == pytest.approx(10.9, abs=0.05)
    assert found.checkpoint == pytest.approx(8 * 240_816_550, rel=0.002)
    assert found.memory / GIB == pytest.approx(12 * 240_816_550 / GIB + 8.79, abs=0.02)


# --- tables -------------------------------------------------------------------------------------


def entry(name: str, images: int, expected: int, score: float) -> dict[str, Any]:
    return dict(name=name, images=images, expected_images=expected, summary=dict(mIoU=score))


def test_the_comparison_by_hand() -> None:
    measured = {
        'source': {'ACDC-night-val': entry('ACDC-night-val', 106, 106, 21.0)},
        'ccdistill': {
            'ACDC-night-val': entry('ACDC-night-val', 106, 106, 37.2),
            'BDD100K-night': entry('BDD100K-night', 80, 87, 34.0),
            'DZ-val': entry('DZ-val', 50, 50, 36.0),
        },
    }
    rows = {(row['set'], row['run']): row for row in tables.comparison(measured)}
    assert rows['ACDC-night-val', 'source']['published'] == 20.3
    assert rows['ACDC-night-val', 'source']['difference'] == 0.7
    assert rows['ACDC-night-val', 'ccdistill']['difference'] == -0.5
    partial = rows['BDD100K-night', 'ccdistill']
    assert (partial['published'], partial['difference']) == (33.0, None)
    assert rows['BDD100K-night', 'source']['mIoU'] is None
    assert rows['DZ-val', 'ccdistill']['published'] is None
    assert rows['DZ-test', 'ccdistill']['published'] == 47.5
    page = tables.results_page(list(rows.values()), [], Path())
    assert (
        '| ACDC-night-val | 106 of 106 | CCDistill (RefineNet) | ccdistill | 37.20 | 37.70 | -0.50 |'
        in page
    )
    assert (
        '| BDD100K-night | 80 of 87 | CCDistill (RefineNet) | ccdistill | 34.00 | 33.00 | - |'
        in page
    )
    assert '| DZ-val | DANNet | 36.76 |' in page and 'there is no zip' in page


# --- band ---------------------------------------------------------------------------------------


def logged(folder: Path, losses: list[float]) -> Path:
    file = folder / '20260101_000000/vis_data/scalars.json'
    file.parent.mkdir(parents=True)
    lines = [
        json.dumps({'loss': loss, 'lr': 1.0, 'step': 10 * i}) for i, loss in enumerate(losses, 1)
    ]
    file.write_text('\n'.join(lines) + '\n')
    return folder


def test_the_band_by_hand(tmp_path: Path) -> None:
    others = [logged(tmp_path / 'a', [3.0, 2.0, 1.0]), logged(tmp_path / 'b', [5.0, 1.0])]
    run = logged(tmp_path / 'run', [4.0, 2.5, 1.0])
    curves = [seed_band.curves_of(other) for other in others]
    assert curves[1] == {'loss': {10: 5.0, 20: 1.0}}
    band = seed_band.seed_band(curves, 'loss')
    assert band == {10: (3.0, 5.0), 20: (1.0, 2.0)} and seed_band.seed_band(curves, 'mIoU') == {}
    assert seed_band.share_inside({10: 4.0, 20: 2.5, 30: 1.0}, band) == 0.5
    assert seed_band.share_inside({30: 1.0}, band) is None
    assert seed_band.draw_curves(run, others, tmp_path / 'in.svg') == {'loss': 0.5}
    assert seed_band.draw_curves(run, [], tmp_path / 'alone.svg') == {}
    pictures = [(tmp_path / name).read_text() for name in ('in.svg', 'alone.svg')]
    assert all('<svg' in text for text in pictures)
    assert ['FillBetween' in text for text in pictures] == [True, False]


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('more', 'sentence'),
    [
        (
            ['--night-driving', '/nowhere'],
            "--night-driving: '/nowhere' is no folder: expected the root of Nighttime Driving; docs/data.md says how "
            'it is laid out',
        ),
        (
            ['--seed-runs', '/nowhere'],
            '--seed-runs: one run has no spread: expected folders of two or more trainings with other seeds; name more',
        ),
        (
            ['--seed-runs', '/nowhere', '/else'],
            "--seed-runs: '/nowhere' has no log: expected the work dir of a training, with a folder "
            'vis_data/scalars.json below it; correct the path',
        ),
    ],
)
def test_mistakes_end_in_one_sentence(
    roots: dict[str, str], capsys: pytest.CaptureFixture[str], more: list[str], sentence: str
) -> None:
    assert command.main(words_of(roots, *more)) == 2
    assert capsys.readouterr().err == f'error: {sentence}\n'


def test_a_config_that_reads_a_set_which_was_not_given(
    roots: dict[str, str], tmp_path: Path
) -> None:
    config = Config.fromfile(str(ROOT / ADAPTATION))
    config.test_dataloader.dataset.data_root = 'data/acdc/'
    two = {name: roots[name] for name in ('cityscapes', 'dark_zurich')}
    with pytest.raises(ValueError) as caught:
        plan.root_options(config, two, 'mine.py')
    assert str(caught.value) == (
        'mine.py: test_dataloader.dataset reads ACDC-night: expected its root; give --acdc'
    )


def test_a_full_disk_is_told_before_anything(
    roots: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, 'count_run', lambda config, iters: StepCost(2e12, 3 * GIB))
    monkeypatch.setattr(forecast, '_free_bytes', lambda folder: GIB // 2)
    stages = plan.plan(SOURCE, ADAPTATION, roots, 0)
    with pytest.raises(
        ValueError, match=r'has 0\.5 GiB free, but 1\.\d GiB are needed: make room'
    ) as caught:
        forecast.forecast_page(stages, 1, tmp_path, 1.0)
    assert '--work-dir' in str(caught.value)


def test_a_restart_counts_what_it_has_written(
    roots: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, 'count_run', lambda config, iters: StepCost(2e12, 3 * GIB))
    monkeypatch.setattr(forecast, '_free_bytes', lambda folder: GIB // 2)
    monkeypatch.setattr(forecast, '_used_bytes', lambda folder: GIB)
    page = forecast.forecast_page(plan.plan(SOURCE, ADAPTATION, roots, 0), 1, tmp_path, 1.0)
    assert '(0.5 GiB are free in ' in page


def test_a_failed_stage_is_named_and_the_rest_is_written(
    roots: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(forecast, 'count_run', lambda config, iters: StepCost(2e12, 3 * GIB))
    monkeypatch.setattr(command, 'check_data', lambda sets, quick: None)
    monkeypatch.setattr(command, 'run_stages', lambda stages, *_: {stages[0]: 'its last lines'})
    assert command.main(words_of(roots, '--work-dir', str(tmp_path))) == 1
    assert capsys.readouterr().err == (
        'its last lines\nerror: 1 of 10 stages did not end well, first source (its last lines are above): correct '
        'what they say and start the same command again; what is finished stays\n'
    )
    assert '| DZ-test | - |' in (tmp_path / 'results.md').read_text()


def test_broken_data_stop_before_the_training(
    roots: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The miniature sets have other counts than the published ones."""
    monkeypatch.setattr(forecast, 'count_run', lambda config, iters: StepCost(2e12, 3 * GIB))
    two = {name: roots[name] for name in ('cityscapes', 'dark_zurich')}
    assert command.main(words_of(two, '--work-dir', str(tmp_path), '--quick-check')) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: the data have ') and 'the first is in cityscapes' in error
    assert not (tmp_path / 'source').exists()


# --- a whole run --------------------------------------------------------------------------------

DRIVER = """
import sys
from layouts import miniature_sets
from benchmarks.reproduction import command, data_roots
data_roots.PUBLISHED_SETS = miniature_sets()
sys.exit(command.main(sys.argv[1:]))
"""


def tiny_configs(folder: Path) -> tuple[Path, Path]:
    """Narrow layers, crops of 32, two iterations, a checkpoint after each."""
    paths = folder / 'tiny_source.py', folder / 'tiny_adaptation.py'
    for path, shipped in zip(paths, (SOURCE, ADAPTATION), strict=True):
        config = Config.fromfile(str(ROOT / shipped))
        is_plain = shipped == SOURCE
        network = config.model if is_plain else config.model.segmentor
        network.backbone.update(base_channels=8, stem_channels=8)
        network.decode_head.update(
            in_channels=[8, 16, 32, 64], channels=8, block_channels=(16, 8, 8, 8)
        )
        network.data_preprocessor.size = config.model.data_preprocessor.size = (32, 32)
        dataset = config.train_dataloader.dataset
        steps = dataset.dataset.pipeline if is_plain else [
            *dataset.source.pipeline, *dataset.target.pipeline
        ]  # fmt: skip
        for step in steps:
            sizes = dict(RandomResize=(128, 64), RandomCrop=(32, 32), Resize=(32, 32))
            if step.type in sizes:
                step['crop_size' if step.type == 'RandomCrop' else 'scale'] = sizes[step.type]
        if not is_plain:
            config.model.projection_head.in_channels = 64
        config.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
        config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
        config.param_scheduler[0].end = 2
        config.val_cfg = config.val_dataloader = config.val_evaluator = None
        config.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=3)
        config.default_hooks.logger.interval = 1
        config.load_from = None
        config.pop('work_dir', None)
        config.dump(str(path))
    return paths


def launch(words: list[str]) -> subprocess.Popen[str]:
    env = dict(os.environ, OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore')
    env['PYTHONPATH'] = os.pathsep.join([str(ROOT), str(ROOT / 'tests/helpers')])
    return subprocess.Popen(
        [sys.executable, '-c', DRIVER, *words], env=env, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


@pytest.mark.slow
def test_killed_and_started_again_it_ends_with_the_tables(
    roots: dict[str, str], tmp_path: Path
) -> None:
    sets = {name: roots[name] for name in ('cityscapes', 'dark_zurich')}
    shutil.copytree(sets['dark_zurich'], tmp_path / 'dark_zurich')
    shutil.rmtree(tmp_path / 'dark_zurich/rgb_anon/test')  # the server wants all 151 in full size
    sets['dark_zurich'] = str(tmp_path / 'dark_zurich')
    source, adaptation = tiny_configs(tmp_path)
    runs = tmp_path / 'runs'
    words = [
        *('--cityscapes', sets['cityscapes'], '--dark-zurich', sets['dark_zurich']),
        *('--source-config', str(source), '--config', str(adaptation), '--work-dir', str(runs)),
    ]
    first = launch(words)
    while not (runs / 'source/stage.json').exists():
        assert first.poll() is None, first.communicate()[0][-3000:]
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    stamp = (runs / 'source/iter_2.pth').stat().st_mtime_ns
    assert not (runs / 'results.md').exists()

    second = launch(words)
    output = second.communicate(timeout=600)[0]
    assert second.returncode == 0, output[-3000:]
    assert 'in all: ' in output and 'source: done' not in output and 'ccdistill: done' in output
    assert (runs / 'source/iter_2.pth').stat().st_mtime_ns == stamp
    rows = {
        (r['set'], r['run']): r for r in json.loads((runs / 'results.json').read_text())['rows']
    }
    for run in ('source', 'ccdistill'):
        assert rows['DZ-val', run]['images'] == 2 and 0 <= rows['DZ-val', run]['mIoU'] <= 100
    assert rows['DZ-test', 'ccdistill']['published'] == 47.5
    assert '| DZ-val | 2 of 50 |' in (runs / 'results.md').read_text()
    assert 'source_day.loss_seg' in (runs / 'ccdistill_curves.svg').read_text()

    third = launch(words)
    output = third.communicate(timeout=600)[0]
    assert third.returncode == 0 and 'done in' not in output
