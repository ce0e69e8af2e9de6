"""The GPU benchmark, rehearsed on the CPU at tiny size."""

from __future__ import annotations

import json
import time
import warnings
from contextlib import nullcontext
from dataclasses import replace
from math import isfinite
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import timm_there
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import device_work
from benchmarks.gpu.batches import make_batches
from benchmarks.gpu.config_batches import make_config_batches
from benchmarks.gpu.inference_rows import inference_graph
from benchmarks.gpu.method_rows import METHODS, method_row
from benchmarks.gpu.page import EAGER, GOALS, verdict, write_page
from benchmarks.gpu.precision_rows import deviation
from benchmarks.gpu.record import JSON, PAGE, Record
from benchmarks.gpu.rows import Row, all_rows
from benchmarks.gpu.settings import Settings, make_settings
from benchmarks.gpu.step_rows import MODES, measure_graph
from benchmarks.gpu.training import PAPER, Mode, Training, load_config, precision
from benchmarks.repository import ROOT
from benchmarks.row_running import NotHere
from mmseg_ccdistill.domains import DOMAINS
from mmseg_ccdistill.errors import UserInputError
from mmseg_ccdistill.models.backbones import timm_package

TINY = make_settings(tiny=True)

#: Torch below 2.3 scales losses on a GPU alone: there the rows of the guard that need it say so.
SCALES_ON_CPU = hasattr(torch.amp, 'GradScaler')

#: Rows of the quick rehearsal; the slow test runs all of them.
QUICK = (
    'environment',
    'step: mmengine default',
    'step: bf16 channels_last',
    'step: bf16 channels_last graphed',
    'losses',
    'guard',
    'one process',
    'inference: precisions',
    'inference: graphed',
    'method: ccdistill/refinenet_r101_cs2dz.py',
)


@pytest.fixture(scope='module')
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp('gpu')
    options = ['--tiny', '--inside', '--out', str(out), '--rows', *QUICK]
    assert command.main(options) == 0
    return out


def read(out: Path) -> dict[str, Any]:
    return json.loads((out / JSON).read_text())['rows']


def test_the_rehearsal_runs_every_row(rehearsal: Path) -> None:
    rows = read(rehearsal)
    status = {name: row['status'] for name, row in rows.items()}
    graphed = {name for name in rows if name.endswith('graphed')}
    unscaled = set() if SCALES_ON_CPU else {n for n in rows if n.startswith('guard: loss scaler')}
    assert {name for name, word in status.items() if word != 'done'} == graphed | unscaled
    assert all('has no loss scaler for a CPU' in rows[name]['reason'] for name in unscaled)
    assert all(rows[name]['reason'] == 'CUDA graphs need a CUDA device' for name in graphed)
    for name in ('step: mmengine default', 'step: bf16 channels_last'):
        result = rows[name]['result']
        assert len(result['ms_of_blocks']) == TINY.blocks
        assert result['its_per_second'] == pytest.approx(1e3 / result['ms'])
        assert 0 < result['conv_share'] < 1
        assert {'source_day.loss_seg', 'cross.loss_cds'} <= set(result['losses'])
    bf16 = rows['losses: against fp32']['result']['bf16']
    assert 0 < bf16['source_day.loss_seg']['mean'] < 0.05
    equal = rows['losses: against fp32']['result']['tf32']
    assert {n for numbers in equal.values() for n in numbers.values()} == {0}  # a CPU has no TF32
    assert rows['one process']['result']['backend'] == 'gloo'
    assert rows['one process']['result']['difference'] < 1e-6
    prediction = rows['inference: precisions']['result']['fp32, 96 x 54']
    assert prediction['agreement'] == 1 and min(prediction['network_ms'], prediction['ms']) > 0


def test_a_spoiled_gradient_changes_nothing(rehearsal: Path) -> None:
    found = {n: row for n, row in read(rehearsal).items() if n.startswith('guard')}
    rows = {n: row['result'] for n, row in found.items() if row['status'] == 'done'}
    assert len(found) == 3 and len(rows) == (3 if SCALES_ON_CPU else 1)
    for result in rows.values():
        assert result['clean_changed'] > 0
        assert result['spoiled_changed'] == 0
    if SCALES_ON_CPU:
        assert rows['guard: loss scaler']['scale'] == [256.0, 128.0]
    assert rows['guard: no loss scaler']['norm_finite'] is False
    assert rows['guard: no loss scaler']['skipped'] == 1


def test_the_tables_name_what_was_measured(rehearsal: Path) -> None:
    page = (rehearsal / PAGE).read_text()
    assert 'A rehearsal at tiny size: its numbers mean nothing.' in page
    assert '| bf16 channels_last |' in page and '| bf16 cross.loss_cds |' in page
    assert '| step: bf16 channels_last graphed | skipped | CUDA graphs need a CUDA device |' in page
    assert "| eager bf16 over MMEngine's default |" in page


@pytest.mark.slow
def test_all_rows_in_processes_of_their_own_where_they_want_one(tmp_path: Path) -> None:
    assert command.main(['--tiny', '--minutes', '15', '--out', str(tmp_path)]) == 0
    rows = read(tmp_path)
    assert list(rows) == [row.name for row in all_rows()]
    resumed = rows['resume']['result']
    assert resumed['same_draws'] and resumed['bit_equal'] and resumed['repeat_bit_equal']
    assert resumed['resumed_from'] == 4
    failed = [n for n, row in rows.items() if n.startswith('method') and row['status'] != 'done']
    assert all('dinov3' in name and not timm_there.is_there() for name in failed)
    assert rows['step: bf16 channels_last compiled']['result']['compile_seconds'] > 0


def broken(settings: Any) -> dict[str, Any]:
    raise RuntimeError('CUDA error: out of order\nand more')


def fine(settings: Any) -> dict[str, Any]:
    return dict(number=1)


def stop(settings: Any) -> dict[str, Any]:
    raise KeyboardInterrupt


def use(monkeypatch: pytest.MonkeyPatch, **rows: Any) -> None:
    monkeypatch.setattr(command, 'all_rows', lambda: [Row(n, run) for n, run in rows.items()])


def test_a_failing_row_is_recorded_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, first=broken, second=fine)
    assert command.main(['--tiny', '--out', str(tmp_path)]) == 1
    rows = read(tmp_path)
    assert rows['first']['status'] == 'failed'
    assert rows['first']['reason'] == 'RuntimeError: CUDA error: out of order'
    assert 'in broken' in rows['first']['traceback']
    assert rows['second']['result'] == {'number': 1}


def test_a_run_that_is_stopped_keeps_its_rows_and_goes_on_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(monkeypatch, first=fine, second=stop)
    with pytest.raises(KeyboardInterrupt):
        command.main(['--tiny', '--out', str(tmp_path)])
    assert read(tmp_path) == {'first': {'status': 'done', 'result': {'number': 1}, 'seconds': 0.0}}
    use(monkeypatch, first=broken, second=fine)  # the first is not run again
    assert command.main(['--tiny', '--out', str(tmp_path)]) == 0
    assert [row['status'] for row in read(tmp_path).values()] == ['done', 'done']
    assert command.main(['--tiny', '--out', str(tmp_path), '--rows', 'first']) == 1  # unless named


def test_no_row_begins_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = [Row('long', fine, least_seconds=100), Row('short', fine, least_seconds=1)]
    command.run_all(
        rows, replace(TINY, tiny=False), Record(tmp_path, True), 0.5, inside=True, again=False
    )
    kept = read(tmp_path)
    assert kept['long'] == {'status': 'not reached', 'reason': 'the time was up', 'seconds': 0}
    assert kept['short']['status'] == 'done'


def test_a_process_that_takes_too_long_is_ended() -> None:
    kept = command.run_apart(all_rows()[0], TINY, seconds=0)
    assert kept['status'] == 'not reached'
    assert kept['reason'] == 'stopped after 1 s'


def test_rows_are_chosen_by_name_or_beginning() -> None:
    def names(*words: str) -> list[str]:
        return [row.name for row in command.choose(all_rows(), words)]

    assert names() == [row.name for row in all_rows()]
    assert names('step: bf16') == ['step: bf16']
    assert names('guard', 'resume')[-1] == 'resume' and len(names('guard')) == 3
    with pytest.raises(UserInputError, match="no row begins with 'speed'; there are environment"):
        names('speed')


@pytest.mark.parametrize(
    'options, message',
    [
        (['--tiny', '--minutes', '0'], '--minutes must be above 0, got 0'),
        (['--minutes', '1'], 'this machine has no CUDA device'),
        (['--tiny', '--rows', 'speed'], "--rows: no row begins with 'speed'"),
    ],
)
def test_bad_arguments_end_with_a_sentence(
    options: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert command.main([*options, '--out', str(tmp_path)]) == 2
    assert message in capsys.readouterr().err


def test_rows_of_another_run_are_not_mixed_in(tmp_path: Path) -> None:
    record = Record(tmp_path, tiny=True)
    about = dict.fromkeys(('device', 'torch', 'mmengine', 'mmseg', 'mmseg_ccdistill'), 'one')
    record.add('environment', dict(status='done', result=about))
    with pytest.raises(UserInputError, match='holds a rehearsal: give another --out'):
        Record(tmp_path, tiny=False)
    with pytest.raises(UserInputError, match='was measured with torch one, here it is two'):
        Record(tmp_path, tiny=True).add(
            'environment', dict(status='done', result=dict(about, torch='two'))
        )
    (tmp_path / JSON).write_text('{')
    with pytest.raises(UserInputError, match='is not a record of this benchmark'):
        Record(tmp_path, tiny=True)


def test_verdicts() -> None:
    goals = {goal.what: goal for goal in GOALS}
    rate, memory = goals['it/s, fastest mode'], goals['peak memory in GiB, bf16']
    assert [verdict(rate, v) for v in (None, 22.9, 23, 32)] == [
        'not measured',
        'missed',
        'met',
        'extreme',
    ]
    assert [verdict(memory, v) for v in (9.0, 9.1)] == ['met', 'missed']


def test_goals_read_the_rows() -> None:
    graph = dict(its_per_second=36.0)
    rows = {
        'step: mmengine default': dict(status='done', result=dict(its_per_second=10.0)),
        EAGER: dict(status='done', result=dict(its_per_second=24.0, peak_gib=8.5)),
        'step: bf16 channels_last compiled': dict(
            status='done', result=dict(its_per_second=30.0, graph=graph)
        ),
    }
    page = write_page(rows, tiny=False)
    assert '| it/s, fastest mode | 36 | 23 | 32 | extreme |' in page
    assert "| eager bf16 over MMEngine's default | 2.4 | 2 | - | met |" in page
    assert '| host waits per step | - | 0 | - | not measured |' in page
    assert '| bf16 channels_last compiled, graphed | 36 | 3.6 |' in page


def test_batches_are_those_of_the_loader() -> None:
    (batch, again) = (make_batches(48, 1)[0] for _ in range(2))
    assert set(batch['inputs']) == set(DOMAINS)
    day, night = batch['inputs']['source_day'], batch['inputs']['source_night']
    assert [image.shape for image in day] == [(3, 48, 48)] * 2 and day[0].dtype == torch.uint8
    assert night[0].float().mean() == pytest.approx(0.3 * day[0].float().mean(), abs=1)
    assert torch.equal(day[0], again['inputs']['source_day'][0])
    labels = batch['data_samples']['source_day'][0].gt_sem_seg.data
    assert set(labels.unique().tolist()) <= {*range(19), 255} and labels.shape == (1, 48, 48)
    assert 'gt_sem_seg' not in batch['data_samples']['target_day'][0]


def test_deviation_is_relative_to_the_size_of_the_reference() -> None:
    found = deviation([1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 2.0, 3.0])
    assert found == pytest.approx(dict(mean=0.375, max=1.0, last=1.0))


def event(name: str, kind: Any, duration: float = 1.0) -> SimpleNamespace:
    span = SimpleNamespace(elapsed_us=lambda: duration)
    return SimpleNamespace(name=name, device_type=kind, time_range=span)


def test_kernels_are_counted_without_copies_and_names_of_stretches() -> None:
    gpu, cpu = torch.autograd.DeviceType.CUDA, torch.autograd.DeviceType.CPU
    events = [
        event('Memcpy HtoD', gpu, 50),
        event('Optimizer.step#SGD.step', gpu, 500),
        event('sm90_xmma_fprop', gpu, 60),
        event('void cudnn::nchwToNhwcKernel', gpu, 10),
        event('vectorized_add', gpu, 30),
        event('vectorized_add', gpu, 20),
        event('cudaStreamSynchronize', cpu),
        event('cudaMemcpyAsync', cpu, 8),
        event('aten::add', cpu),
    ]
    averages = [
        SimpleNamespace(key='aten::cudnn_convolution', device_time_total=40),
        SimpleNamespace(key='aten::convolution_backward', cuda_time_total=50),  # torch 2.1
        SimpleNamespace(key='aten::convolution', device_time_total=40),
    ]
    found = device_work.summarise(events, averages, steps=2)
    longest = found.pop('longest')
    assert found == dict(
        kernels=2.0,
        kernel_ms=0.06,
        conv_share=0.75,
        layout_kernels=0.5,
        layout_ms=0.005,
        waits={'cudaStreamSynchronize': 0.5},
        copy_call_ms=0.004,
    )
    assert list(longest) == ['sm90_xmma_fprop', 'vectorized_add', 'void cudnn::nchwToNhwcKernel']
    assert longest['vectorized_add'] == 0.025


def test_host_waits_are_the_warnings_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', modes.append)
    monkeypatch.setattr(torch.cuda, 'synchronize', lambda device: None)

    def step() -> None:
        warnings.warn('called a synchronizing CUDA operation', stacklevel=1)
        warnings.warn('something else', stacklevel=1)

    settings = replace(TINY, device=torch.device('cuda', 0), profiled=2)
    found = device_work.count_waits(step, settings)
    assert found['host_waits'] == 1
    ((place, times),) = found['places'].items()
    assert place.startswith('test_benchmarks/test_gpu.py:') and times == 2
    assert modes == ['warn', 'default']


class Graph:
    """Stands in for a CUDA graph: a replay does what ``work`` does."""

    work: Any = None

    def replay(self) -> None:
        self.work()


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> type[Graph]:
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name in ('Stream', 'current_stream', 'synchronize'):
        monkeypatch.setattr(torch.cuda, name, lambda *args: stream)
    for name in ('stream', 'graph'):
        monkeypatch.setattr(torch.cuda, name, lambda what: nullcontext())
    monkeypatch.setattr(torch.cuda, 'CUDAGraph', Graph)
    return Graph


def test_a_captured_step_learns(graphs: type[Graph], monkeypatch: pytest.MonkeyPatch) -> None:
    with precision(MODES['fp32']):
        training = Training(TINY, load_config(PAPER, TINY), MODES['fp32'])
        monkeypatch.setattr(graphs, 'work', lambda graph: training.bare_step())
        found = measure_graph(TINY, training)
    assert 0.5 < found['changes'] <= 1
    assert found['its_per_second'] > 0 and found['conv_share'] is None


def test_a_captured_network_is_timed(graphs: type[Graph], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, 'work', lambda graph: time.sleep(0.002))
    monkeypatch.setattr(Settings, 'cuda', property(lambda settings: True))
    ms = inference_graph(TINY)['96 x 54']['network_ms']
    assert 2 < ms < 20


def test_every_system_has_a_row_and_ccdistill_one_for_each_network() -> None:
    configs = ROOT / 'configs'
    systems = {path.parent.name for path in configs.glob('*/refinenet_r101_cs2dz*.py')}
    assert len(systems) == 9
    rows = [(name.split('/')[0], name.split('/')[-1]) for name in METHODS]
    assert {folder for folder, name in rows if name.startswith('refinenet_r101_cs2dz')} == systems
    networks = {name.split('_')[0] for folder, name in rows if folder == 'ccdistill'}
    assert networks == {path.name.split('_')[0] for path in configs.glob('ccdistill/*_cs2dz.py')}
    assert len(set(METHODS)) == len(METHODS) and all((configs / name).is_file() for name in METHODS)
    names = [row.name for row in all_rows()]
    places = [names.index(f'method: {name}') for name in METHODS]
    assert places == [*range(places[0], places[0] + len(METHODS))]
    assert names[places[0] - 1] == 'inference: graphed'
    assert names[places[-1] + 1] == 'losses: against fp32'


#: Rows that the default suite rehearses: each kind of method, of batch and of optimizer; the slow suite does the rest.
SHORT = (
    'adaptsegnet/refinenet_r101_cs2dz_multi-level.py',
    'advent/refinenet_r101_cs2dz_minent.py',
    'bdl_lab/refinenet_r101_cs2dz_ssl1.py',
    'udaclustering/refinenet_r101_cs2dz.py',
    'dannet/refinenet_r101_cs2dz.py',
    'gcma/refinenet_r101_cs2dz.py',
    'ccdistill/refinenet_r101_cs2dz_plus.py',
    'ccdistill/refinenet_r101_cs2dz_11g.py',
    'refinenet/refinenet_r101_cityscapes.py',
)


@pytest.mark.parametrize(
    'name', [n if n in SHORT else pytest.param(n, marks=pytest.mark.slow) for n in METHODS]
)
def test_a_method_trains_at_tiny_size(name: str) -> None:
    try:
        found = method_row(TINY, name)
    except NotHere as reason:
        pytest.skip(str(reason))
    assert found['its_per_second'] > 0 and found['losses']
    assert all(isfinite(loss) for loss in found['losses'].values())
    if name.endswith('_plus.py'):  # self-training has begun
        assert found['losses']['night.loss_mix'] > 0
        published = (
            name == 'ccdistill/segformer_mit-b5_cs2dz_plus.py'
        )  # both learn, L_pseudo is handed over
        assert ('day.loss_mix' in found['losses']) == published
        assert (found['losses']['target_night.loss_pseudo'] == 0) == published
    if name.endswith('_ssl1.py'):
        assert found['losses']['target_night.loss_seg'] > 0


def test_an_adversarial_step_changes_network_and_discriminators_each_at_its_rate() -> None:
    mode = Mode(benchmark=False)
    with precision(mode):
        training = Training(TINY, load_config('dannet/refinenet_r101_cs2dz.py', TINY), mode)
        assert set(training.wrapper.optimizer.parts) == {'night', 'discriminators'}
        before = {n: p.detach().clone() for n, p in training.model.named_parameters()}
        training.step()
    steps = {n: float((p - before[n]).abs().max()) for n, p in training.model.named_parameters()}
    for part in (
        'night.light_net',
        'night.decode_head',
        'discriminators.day',
        'discriminators.night',
    ):
        assert max(step for n, step in steps.items() if n.startswith(part)) > 0, part
    largest = max(step for n, step in steps.items() if n.startswith('discriminators'))
    assert largest == pytest.approx(1e-4, rel=1e-2)  # Adam's first step is its rate


def test_a_teacher_follows_in_the_steps_of_a_row() -> None:
    mode = Mode(benchmark=False)
    with precision(mode):
        config = load_config('ccdistill/refinenet_r101_cs2dz_plus.py', TINY)
        training = Training(TINY, config, mode)
        training.skip_to(training.runner.max_iters // 2 + 1)
        training.step()
        teacher = training.model.self_training.teacher('night')
        before = [value.clone() for value in teacher.state_dict().values()]
        training.step()
    after = list(teacher.state_dict().values())
    assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))


def config_of(name: str) -> Any:
    return load_config(name, replace(TINY, tiny=False))


@pytest.mark.parametrize('name', [n for n in METHODS if 'cs2dz' in n])
def test_batches_hold_the_domains_that_a_config_names(name: str) -> None:
    config = config_of(name)
    dataset = config.train_dataloader.dataset
    (batch,) = make_config_batches(config, replace(TINY, side=32), 1)
    if dataset.type == 'MixedDataset':
        assert {s.metainfo['part'] for s in batch['data_samples']} <= {
            p.name for p in dataset.parts
        }
        assert all('gt_sem_seg' in sample for sample in batch['data_samples'])
        return
    domains = dataset.get('domains', DOMAINS)
    assert set(batch['inputs']) == set(batch['data_samples']) == set(domains)
    labelled = {d for d, s in batch['data_samples'].items() if all('gt_sem_seg' in x for x in s)}
    extra = {'target_night'} if 'night_label_dir' in dataset.target else set()
    assert labelled == {d for d in domains if d.startswith('source')} | extra
    mixes = any('mix_patches' in sample for sample in batch['data_samples'][domains[-1]])
    assert mixes == any(step.type == 'DrawMixing' for step in dataset.pipeline)


def test_batches_have_the_sizes_of_the_pipelines() -> None:
    full = replace(TINY, tiny=False)
    config = config_of('bdl_lab/refinenet_r101_cs2dz_ssl1.py')
    config.train_dataloader.dataset.target.pipeline[3].scale = (96, 40)  # width and height
    (batch,) = make_config_batches(config, full, 1)
    day, night = batch['inputs']['source_night'], batch['inputs']['target_night']
    assert [image.shape for image in day] == [(3, 512, 512)] * 2
    assert [image.shape for image in night] == [(3, 40, 96)] * 2
    assert batch['data_samples']['target_night'][0].gt_sem_seg.data.shape == (1, 40, 96)
    (plain,) = make_config_batches(config_of('refinenet/refinenet_r101_cityscapes.py'), full, 1)
    assert [image.shape for image in plain['inputs']] == [(3, 512, 512)] * 8
    (mixed,) = make_config_batches(config_of('dmada/refinenet_r101_cs2dz.py'), full, 1)
    assert [image.shape for image in mixed['inputs']] == [(3, 512, 512)] * 2


def test_parts_are_drawn_by_their_shares() -> None:
    batches = make_config_batches(config_of('dmada/refinenet_r101_cs2dz.py'), TINY, 15)
    parts = [s.metainfo['part'] for batch in batches for s in batch['data_samples']]
    assert {name: parts.count(name) > 4 for name in parts} == dict.fromkeys(
        ('source', 'twilight', 'night'), True
    )


def test_a_dataset_that_nothing_stands_in_for_is_refused() -> None:
    config = config_of(PAPER)
    config.train_dataloader.dataset.type = 'OtherDataset'
    with pytest.raises(ValueError, match='is a OtherDataset: expected one of'):
        make_config_batches(config, TINY, 1)
    config = config_of(PAPER)
    del config.train_dataloader.dataset.source.pipeline[2:]
    with pytest.raises(ValueError, match='no RandomCrop and no Resize'):
        make_config_batches(config, replace(TINY, tiny=False), 1)


def test_what_the_machine_lacks_is_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def lacking(settings: Any) -> dict[str, Any]:
        raise NotHere('not installed: onnx')

    use(monkeypatch, export=lacking)
    assert command.main(['--tiny', '--out', str(tmp_path)]) == 0
    assert read(tmp_path)['export']['status'] == 'skipped'
    assert '| export | skipped | not installed: onnx |' in (tmp_path / PAGE).read_text()


def test_a_method_whose_backbone_needs_a_missing_package_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f'No module named {name!r}', name=name)

    monkeypatch.setattr(timm_package, 'import_module', missing)
    with pytest.raises(NotHere, match='ReinDINOv3 needs the package timm, which is not installed'):
        method_row(TINY, 'ccdistill/dinov3_vit-s_rein_cs2dz.py')
